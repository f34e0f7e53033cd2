# CPU nodes of a Slurm cluster, in its default partition: GPUs that a grid file names are not asked for.
#MRSWEEP scheduler=slurm gpu=none
#MRSWEEP poll_s=60 settle_s=180 absent_s=300 stall_min=30 lease_s=300
#MRSWEEP heartbeat_s=30 warning_s=120 visible_s=120 confirm_s=10

# GPUs on a Slurm cluster, in its default partition. A run's GPUs, cores, memory and time come from the grid file.
# Name another partition, account or module in a copy of your own: slurm-site.example shows how.
#MRSWEEP scheduler=slurm gpu=gres
#MRSWEEP poll_s=60 settle_s=180 absent_s=300 stall_min=30 lease_s=300
#MRSWEEP heartbeat_s=30 warning_s=120 visible_s=120 confirm_s=10

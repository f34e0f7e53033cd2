# The Slurm test cluster of this project: the waiting times are seconds.
#MRSWEEP scheduler=slurm gpu=gres
#MRSWEEP poll_s=1 settle_s=3 absent_s=3 stall_min=0.2 lease_s=3
#MRSWEEP heartbeat_s=1 warning_s=20 visible_s=3 confirm_s=1 backoff_s=1 avoid_min=1 janitor_min=0.05

# This machine, without Slurm: workers in the background that outlive the terminal.
#MRSWEEP scheduler=local
#MRSWEEP poll_s=5 settle_s=10 absent_s=20 confirm_s=1 lease_s=60 heartbeat_s=10 visible_s=5 kill_wait_s=30
# As many workers as cores and GPUs suffice for. To fix their number, or the GPUs that they share:
##MRSWEEP workers=2 visible_gpus=0,1

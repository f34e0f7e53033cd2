"""Small trainings that fail, each in one known way; tests/faults/raise_failures.py runs them."""

from __future__ import annotations

from typing import NamedTuple


class Program(NamedTuple):
    """A script and the cause of its end."""

    name: str
    cause: str
    text: str


PROGRAMS = (
    Program(
        "torch_cpu_allocation",
        "host_oom",
        """
import torch
def train():
    return torch.ones(1 << 50)
train()
""",
    ),
    Program(
        "numpy_allocation",
        "host_oom",
        """
import numpy
def pad():
    return numpy.ones((1 << 20, 1 << 20, 33))
pad()
""",
    ),
    Program(
        "bare_memory_error",
        "host_oom",
        """
def load():
    return bytearray(1 << 60)
load()
""",
    ),
    Program(
        "fork_without_memory",
        "host_oom",
        """
raise OSError(12, 'Cannot allocate memory')
""",
    ),
    Program(
        "torch_out_of_memory_type",
        "gpu_oom",
        """
import torch
def forward():
    raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
forward()
""",
    ),
    Program(
        "worker_killed",
        "worker_oom",
        """
import os, signal
import numpy, torch
from torch.utils.data import DataLoader, Dataset

class Slices(Dataset):
    def __len__(self):
        return 7
    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGKILL)

def train():
    for batch in DataLoader(Slices(), num_workers=1):
        print(batch)

train()
""",
    ),
    Program(
        "worker_bus_error",
        "worker_oom",
        """
import os, signal
import numpy, torch
from torch.utils.data import DataLoader, Dataset

class Slices(Dataset):
    def __len__(self):
        return 7
    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGBUS)

def train():
    for batch in DataLoader(Slices(), num_workers=1):
        print(batch)

train()
""",
    ),
    Program(
        "worker_segfault",
        "error",
        """
import os, signal
import numpy, torch
from torch.utils.data import DataLoader, Dataset

class Slices(Dataset):
    def __len__(self):
        return 7
    def __getitem__(self, index):
        os.kill(os.getpid(), signal.SIGSEGV)

def train():
    for batch in DataLoader(Slices(), num_workers=1):
        print(batch)

train()
""",
    ),
    Program(
        "worker_raises_key_error",
        "error",
        """
import os, signal
import numpy, torch
from torch.utils.data import DataLoader, Dataset

class Slices(Dataset):
    def __len__(self):
        return 7
    def __getitem__(self, index):
        return {'kspace': 1}['mask']

def train():
    for batch in DataLoader(Slices(), num_workers=1):
        print(batch)

train()
""",
    ),
    Program(
        "worker_raises_memory_error",
        "host_oom",
        """
import os, signal
import numpy, torch
from torch.utils.data import DataLoader, Dataset

class Slices(Dataset):
    def __len__(self):
        return 7
    def __getitem__(self, index):
        return numpy.ones((1 << 20, 1 << 20, 33))

def train():
    for batch in DataLoader(Slices(), num_workers=1):
        print(batch)

train()
""",
    ),
    Program(
        "worker_misses_file",
        "bad_input",
        """
import os, signal
import numpy, torch
from torch.utils.data import DataLoader, Dataset

class Slices(Dataset):
    def __len__(self):
        return 7
    def __getitem__(self, index):
        return open('/data/knee/file1000007.h5')

def train():
    for batch in DataLoader(Slices(), num_workers=1):
        print(batch)

train()
""",
    ),
    Program(
        "hdf5_missing",
        "bad_input",
        """
import h5py
def volume():
    return h5py.File('/data/knee/file1000001.h5')
volume()
""",
    ),
    Program(
        "hdf5_is_text",
        "bad_input",
        """
import h5py
open('a.h5', 'w').write('x' * 5000)
h5py.File('a.h5')
""",
    ),
    Program(
        "hdf5_truncated",
        "bad_input",
        """
import h5py, os
with h5py.File('a.h5', 'w') as f:
    f['kspace'] = list(range(9999))
os.truncate('a.h5', 3001)
h5py.File('a.h5')
""",
    ),
    Program(
        "hdf5_missing_object",
        "bad_input",
        """
import h5py
with h5py.File('a.h5', 'w') as f:
    f['kspace']
""",
    ),
    Program(
        "checkpoint_is_text",
        "bad_input",
        """
import torch
open('a.pt', 'w').write('not a checkpoint')
torch.load('a.pt')
""",
    ),
    Program(
        "checkpoint_truncated",
        "bad_input",
        """
import torch, os
torch.save({'w': torch.ones(99999)}, 'a.pt')
os.truncate('a.pt', 30011)
torch.load('a.pt')
""",
    ),
    Program(
        "checkpoint_empty",
        "bad_input",
        """
import pickle
open('a.pkl', 'w').close()
pickle.load(open('a.pkl', 'rb'))
""",
    ),
    Program(
        "gzip_is_text",
        "bad_input",
        """
import gzip
open('a.gz', 'w').write('text')
gzip.open('a.gz').read()
""",
    ),
    Program(
        "zip_is_text",
        "bad_input",
        """
import zipfile
open('a.zip', 'w').write('text')
zipfile.ZipFile('a.zip')
""",
    ),
    Program(
        "disk_full",
        "disk_full",
        """
def save():
    with open('/dev/full', 'w') as f:
        f.write('x' * 99999)
save()
""",
    ),
    Program(
        "disk_full_in_numpy",
        "disk_full",
        """
import numpy
numpy.ones(999999).tofile('/dev/full')
""",
    ),
    Program(
        "disk_full_in_torch",
        "disk_full",
        """
import torch
def save():
    torch.save(torch.ones(9999999), '/dev/full')
save()
""",
    ),
    Program(
        "file_size_limit_in_hdf5",
        "disk_full",
        """
import h5py, numpy, resource
resource.setrlimit(resource.RLIMIT_FSIZE, (99999, 99999))
with h5py.File('a.h5', 'w') as f:
    f['x'] = numpy.ones(99999)
""",
    ),
    Program(
        "import_missing",
        "import_error",
        """
def main():
    import sigpy_that_nobody_installed
main()
""",
    ),
    Program(
        "import_missing_name",
        "import_error",
        """
from json import no_such_name
""",
    ),
    Program(
        "library_missing",
        "import_error",
        """
import ctypes
def main():
    ctypes.CDLL('libcudart.so.99')
main()
""",
    ),
    Program(
        "script_missing",
        "import_error",
        """
import os, sys
os.execv(sys.executable, [sys.executable, 'no_such_script.py'])
""",
    ),
    Program(
        "program_missing",
        "import_error",
        """
import os
os.execv('/bin/sh', ['sh', '-c', 'nvcc_that_is_not_here --version'])
""",
    ),
    Program(
        "nan_by_numpy",
        "diverged",
        """
import numpy
with numpy.errstate(all='raise'):
    numpy.log(numpy.zeros(3))
""",
    ),
    Program(
        "nan_raised",
        "diverged",
        """
def step(loss):
    raise FloatingPointError(f'loss is {loss} at step 1203')
step(float('nan'))
""",
    ),
    Program(
        "nan_then_exit",
        "diverged",
        """
import sys
print('epoch 3 loss 0.2')
print('Loss is nan, stopping training')
sys.exit(1)
""",
    ),
    Program(
        "nan_seen_by_autograd",
        "diverged",
        """
import torch
with torch.autograd.detect_anomaly():
    x = torch.zeros(3, requires_grad=True)
    (torch.sqrt(x) * 0).sum().backward()
""",
    ),
    Program(
        "nan_in_a_distribution",
        "diverged",
        """
import torch
torch.distributions.Normal(torch.tensor([float('nan')] * 3), torch.ones(3))
""",
    ),
    Program(
        "nan_in_probabilities",
        "diverged",
        """
import torch
torch.multinomial(torch.tensor([float('nan'), 1.0]), 1)
""",
    ),
    Program(
        "shapes",
        "error",
        """
import torch
def forward():
    return torch.ones(3, 5) @ torch.ones(7, 3)
forward()
""",
    ),
    Program(
        "key_error",
        "error",
        """
def train(config):
    return config['model.blocks']
train({})
""",
    ),
    Program(
        "assertion",
        "error",
        """
def check(mask):
    assert mask.any(), 'the mask is empty'
import numpy
check(numpy.zeros(3))
""",
    ),
    Program(
        "recursion",
        "error",
        """
def unroll(n):
    return unroll(n + 1)
unroll(0)
""",
    ),
    Program(
        "weights_of_another_shape",
        "error",
        """
import torch
torch.nn.Linear(3, 5).load_state_dict(torch.nn.Linear(3, 7).state_dict())
""",
    ),
    Program(
        "syntax",
        "error",
        r"""
exec(compile('def f(:\n', 'model.py', 'exec'))
""",
    ),
    Program(
        "phrase_in_source",
        "error",
        """
def expect(text, errors):
    return errors[text]
expect('CUDA out of memory', {})
""",
    ),
    Program(
        "phrase_in_warning",
        "error",
        """
import warnings
warnings.warn('CUDA out of memory, falling back to micro_batch=1')
{}['micro_batch']
""",
    ),
    Program(
        "explained_by_missing_file",
        "bad_input",
        """
def read():
    try:
        open('/data/maps.npy')
    except OSError as error:
        raise ValueError('no sensitivity maps') from error
read()
""",
    ),
    Program(
        "translated_missing_file",
        "bad_input",
        """
def read():
    try:
        open('/data/maps.npy')
    except OSError:
        raise ValueError('no sensitivity maps')
read()
""",
    ),
    Program(
        "missing_cache_was_dealt_with",
        "error",
        """
def compute():
    return {}['sens_maps']
def read():
    try:
        return open('/tmp/cache.npy')
    except OSError:
        return compute()
read()
""",
    ),
    Program(
        "missing_cache_then_out_of_memory",
        "host_oom",
        """
import torch
def read():
    try:
        return open('/tmp/cache.npy')
    except OSError:
        return torch.ones(1 << 50)
read()
""",
    ),
    Program(
        "out_of_memory_then_disk_full",
        "gpu_oom",
        """
import torch
def save():
    with open('/dev/full', 'w') as f:
        f.write('x' * 99999)
def train():
    try:
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
    finally:
        save()
train()
""",
    ),
    Program(
        "error_in_a_destructor_after",
        "gpu_oom",
        """
import torch
class Writer:
    def __del__(self):
        raise FileNotFoundError('events.out')
def train():
    writer = Writer()
    raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
try:
    train()
except BaseException as error:
    import traceback
    traceback.print_exc()
    error.__traceback__ = None
import sys
sys.exit(1)
""",
    ),
    Program(
        "segfault",
        "error",
        """
import ctypes
ctypes.string_at(0)
""",
    ),
    Program(
        "segfault_with_faulthandler",
        "error",
        """
import ctypes, faulthandler
faulthandler.enable()
def fft():
    ctypes.string_at(0)
fft()
""",
    ),
    Program(
        "abort",
        "error",
        """
import os
os.abort()
""",
    ),
    Program(
        "killed",
        "unknown",
        """
import os
print('epoch 3', flush=True)
os.kill(os.getpid(), 9)
""",
    ),
    Program(
        "killed_child_of_a_shell",
        "host_oom",
        r"""
import os
os.execv('/bin/bash', ['bash', '-c', 'sh -c "kill -9 \$\$"; exit 1'])
""",
    ),
    Program(
        "exit_137",
        "unknown",
        """
import sys
print('epoch 3')
sys.exit(137)
""",
    ),
    Program(
        "exit_247",
        "unknown",
        """
import sys
print('epoch 3')
sys.exit(247)
""",
    ),
    Program(
        "exit_139",
        "error",
        """
import sys
print('epoch 3')
sys.exit(139)
""",
    ),
    Program(
        "exit_3",
        "error",
        """
import sys
print('usage: train.py --lr LR')
sys.exit(3)
""",
    ),
    Program(
        "exit_0_without_result",
        "silent_exit",
        """
print('done')
""",
    ),
    Program(
        "handled_out_of_memory_then_exit_0",
        "silent_exit",
        """
import torch, traceback
try:
    raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
except RuntimeError:
    traceback.print_exc()
print('done')
""",
    ),
    Program(
        "pool_child_killed",
        "worker_oom",
        """
import os
from concurrent.futures import ProcessPoolExecutor
with ProcessPoolExecutor(1) as pool:
    pool.submit(os.kill, 0, 0)
    pool.submit(os._exit, 9).result()
""",
    ),
    Program(
        "spawned_rank_killed",
        "host_oom",
        r"""
import os, sys
open('ranks.py', 'w').write('import os\ndef rank(index):\n    os.kill(os.getpid(), 9)\n')
os.execv(sys.executable, [sys.executable, '-c', 'import ranks, torch.multiprocessing as mp; mp.spawn(ranks.rank, nprocs=1)'])
""",
    ),
    Program(
        "torchrun_second_rank_out_of_memory",
        "gpu_oom",
        """
import os, sys
open('ranks.py', 'w').write('''
import os, torch, torch.distributed as dist
dist.init_process_group('gloo')
def forward():
    raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB')
forward() if dist.get_rank() == 1 else dist.barrier()
''')
os.execv(sys.executable, [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2', 'ranks.py'])
""",
    ),
    Program(
        "torchrun_first_rank_killed",
        "host_oom",
        """
import os, sys
open('ranks.py', 'w').write('''
import os, time
os.kill(os.getpid(), 9) if os.environ['RANK'] == '0' else time.sleep(60)
''')
os.execv(sys.executable, [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2', 'ranks.py'])
""",
    ),
)

"""Feeds exported chains through Bitcoin Core's own validation engine (libbitcoinkernel, by py-bitcoinkernel).

The lab verifies its blocks with rules written out by hand around Core's script verification. Whatever they get wrong, a
test would get wrong with them: so Core judges the same blocks, from regtest's genesis on, in the order of their arrival.
A chain passes when Core's best chain ends where the lab's did, with the last block of the file; a block that Core refuses
can't be in it.

Usage: replay.py <folder>. Exit code 0: all pass; 1: one is refused.
"""

import multiprocessing
import os
import struct
import sys
import tempfile

import pbk

# A chain that is closed is flushed to disk, which nobody reads and takes longer than all else: it is left to the end of its
# process, and a process replays no more than this many.
CHAINS_PER_PROCESS = 16
left_open = []

GENESIS = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


def blocks(path):
    """The blocks of a file. The last record may be torn: its writer was killed before anyone knew of that block."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("<I", data, at)
        record = data[at + 4 : at + 4 + length]
        if len(record) < length:
            return
        yield pbk.Block(record)
        at += 4 + length


class Judge:
    """One chain's node, in memory but for Core's block files."""

    def __init__(self, folder):
        self.refused = {}
        callbacks = pbk.ValidationInterfaceCallbacks(block_checked=self._checked)
        options = pbk.ContextOptions()
        options.set_chainparams(pbk.ChainParameters(pbk.ChainType.REGTEST))
        options.set_validation_interface(callbacks)
        chain = pbk.ChainstateManagerOptions(pbk.Context(options), folder, os.path.join(folder, "blocks"))
        chain.update_block_tree_db_in_memory(True)
        chain.update_chainstate_db_in_memory(True)
        # Blocks of a few transactions: more threads only cost their start.
        chain.set_worker_threads_num(0)
        self._callbacks = callbacks
        self.manager = pbk.ChainstateManager(chain)

    def _checked(self, _data, block, state):
        if state.validation_mode != pbk.ValidationMode.VALID:
            self.refused[str(block.block_hash)] = state.block_validation_result.name

    def tip(self):
        chain = self.manager.get_active_chain()
        return chain.block_tree_entries[chain.height]


def replay(path):
    """How many blocks Core followed; raises ValueError with what it refused."""
    count, last = 0, GENESIS
    with tempfile.TemporaryDirectory(prefix="mayfly-replay-") as folder:
        judge = Judge(folder)
        left_open.append(judge)
        for block in blocks(path):
            last = str(block.block_hash)
            try:
                judge.manager.process_block(block)
            except pbk.ProcessBlockException as error:
                why = judge.refused.get(last, error)
                raise ValueError(f"block {last}, number {count + 1} to arrive, is refused: {why}") from None
            count += 1
        tip = judge.tip()
        if str(tip.block_hash) != last:
            refused = "".join(f"; {hash} is refused: {why}" for hash, why in judge.refused.items())
            raise ValueError(f"Core's tip is {tip.block_hash} at height {tip.height}, the lab's {last}{refused}")
    return count


def verdict(path):
    """How many blocks, and what is wrong."""
    try:
        return path, replay(path), None
    except (ValueError, RuntimeError) as error:
        return path, 0, str(error) or repr(error)


def main(folder):
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".blocks"))
    with multiprocessing.Pool(os.cpu_count(), maxtasksperchild=CHAINS_PER_PROCESS) as pool:
        verdicts = pool.map(verdict, paths, chunksize=1)
    refused = [(path, error) for path, _, error in verdicts if error]
    for path, error in refused:
        print(f"{path}: {error}", file=sys.stderr)
    total = sum(count for _, count, _ in verdicts)
    print(f"replayed {total} blocks of {len(paths)} chains through Bitcoin Core's validation engine: {len(refused)} refused")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

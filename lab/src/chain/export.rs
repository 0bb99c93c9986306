//! A copy of every block in the order of its arrival, for Bitcoin Core's own engine to judge (`scripts/replay`).
//!
//! With `MAYFLY_EXPORT_BLOCKS` set to a folder each chain of this process writes a file there, one block at a time, so that
//! a lab that is killed has exported what it mined until then. The records are those of `blocks.dat`. Stale branches are in
//! it, and the last block is always the best chain's tip: whatever makes a branch best ends with the block that does.
//!
//! A block that can't be written is refused: an export with a hole would prove nothing.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use bitcoin::Block;
use mayfly_core::entropy;

use super::disk;

/// Where to; set by `npm test` for all that it runs. An environment variable, because the labs of Rust's tests have no
/// command line.
const FOLDER: &str = "MAYFLY_EXPORT_BLOCKS";

pub(super) struct Export(File);

impl Export {
    /// The file of one chain, if the environment asks for it.
    pub fn from_environment() -> io::Result<Option<Self>> {
        std::env::var_os(FOLDER).filter(|folder| !folder.is_empty()).map(Export::create).transpose()
    }

    fn create(folder: OsString) -> io::Result<Self> {
        let folder = PathBuf::from(folder);
        fs::create_dir_all(&folder)?;
        // Many processes write here at once, and their ids come again.
        let name = format!("{}-{:016x}.blocks", std::process::id(), u64::from_be_bytes(entropy::random()));
        Ok(Export(OpenOptions::new().create_new(true).write(true).open(folder.join(name))?))
    }

    pub fn append(&mut self, block: &Block) -> io::Result<()> {
        self.0.write_all(&disk::record(block))
    }
}

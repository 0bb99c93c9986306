//! The chain's folder: `blocks.dat`, appended per block, and `mempool.dat`, rewritten per change.
//!
//! Both are records of a little-endian u32 length and that many bytes of consensus encoding. A process that is killed
//! while it appends leaves a torn last record: it is cut off when the folder is opened, because nobody was told of that
//! block. The mempool is replaced by rename, so it is always whole; a lab that restarts still knows the unconfirmed funding
//! transaction of a 0-conf channel.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bitcoin::consensus::encode::{deserialize, serialize, Decodable, Encodable};
use bitcoin::{Block, Transaction};

pub(super) struct Disk {
    blocks: File,
    mempool: PathBuf,
}

/// What was in the folder.
pub(super) struct Saved {
    pub blocks: Vec<Block>,
    pub mempool: Vec<Transaction>,
}

impl Disk {
    pub fn open(dir: &Path) -> io::Result<(Self, Saved)> {
        fs::create_dir_all(dir)?;
        let path = dir.join("blocks.dat");
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (blocks, whole) = records(&bytes, &path)?;
        if whole < bytes.len() {
            tracing::warn!(torn_bytes = bytes.len() - whole, "cut a torn block off blocks.dat");
            file.set_len(whole as u64)?;
        }
        let mempool = dir.join("mempool.dat");
        let saved = match fs::read(&mempool) {
            Ok(bytes) => records(&bytes, &mempool)?.0,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e),
        };
        Ok((Disk { blocks: file, mempool }, Saved { blocks, mempool: saved }))
    }

    pub fn append(&mut self, block: &Block) -> io::Result<()> {
        // One write of the whole record: in append mode a crash tears at most this one.
        self.blocks.write_all(&record(block))
    }

    pub fn save_mempool<'a>(&self, transactions: impl Iterator<Item = &'a Transaction>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for tx in transactions {
            bytes.extend(record(tx));
        }
        let fresh = self.mempool.with_extension("new");
        fs::write(&fresh, bytes)?;
        fs::rename(&fresh, &self.mempool)
    }
}

/// One record.
pub(super) fn record<T: Encodable>(item: &T) -> Vec<u8> {
    let bytes = serialize(item);
    let mut record = (bytes.len() as u32).to_le_bytes().to_vec();
    record.extend(bytes);
    record
}

/// The whole records of `bytes`, and how many bytes they take. A whole record that doesn't decode is an error, not a tear.
fn records<T: Decodable>(bytes: &[u8], path: &Path) -> io::Result<(Vec<T>, usize)> {
    let mut items = Vec::new();
    let mut at = 0;
    while let Some((length, rest)) = bytes.get(at..).and_then(|b| b.split_first_chunk::<4>()) {
        let length = u32::from_le_bytes(*length) as usize;
        let Some(record) = rest.get(..length) else { break };
        let item = deserialize(record).map_err(|e| {
            let text = format!("{} is damaged at byte {at} ({e}): delete the lab's folder", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?;
        items.push(item);
        at += 4 + length;
    }
    Ok((items, at))
}

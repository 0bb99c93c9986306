//! A lock on a file that is only ever tried, never waited for.
//!
//! A blocking `flock(2)` on a native thread can't be cancelled: no signal handler and no `process.exit` gets through it. So
//! there is no call in here that waits; whoever wants to wait tries again (`store::claim`), and that wait can be dropped.
//!
//! What must hold:
//! * A [`FileLock`] excludes every other one on the same path, in this process (other threads, a second copy of the addon)
//!   and in others. It ends when it is dropped and when its process dies, however it dies.
//! * The file is never unlinked: two holders would lock two files of one name. If somebody else replaced it, the new
//!   holder's lock is on a file that no path leads to; so the identity is compared after locking, and [`FileLock::still_ours`]
//!   compares it again whenever the holder writes.
//! * Network file systems are refused: their locks are leases that a frozen machine loses without being told.
//!
//! A lock is politeness, not the fence: what stops a holder that lost it is the epoch in the store.

use crate::error::{Code, Error, Result};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// How often one attempt starts over, for an interrupted call or a file replaced in between. Both are over in microseconds,
/// so reaching this means that something replaces the file all the time.
const RESTARTS: u32 = 16;

/// What one try came to.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Locked(FileLock),
    /// Another holder is live.
    Contended,
}

/// An exclusive lock on a file, held until dropped.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

/// Unlocks before it closes: a child process that is between `fork` and `exec` at this instant has a duplicate of the
/// descriptor, and closing ours alone would leave the lock to it.
impl Drop for FileLock {
    fn drop(&mut self) {
        // Nothing can be done if it fails, and the close that follows unlocks as well.
        let _ = fs2::FileExt::unlock(&self.file);
    }
}

impl FileLock {
    /// One try at the lock, creating the file (mode 0600) if it is absent. `STORE_UNAVAILABLE` for I/O errors,
    /// `INVALID_OPTION` on a network file system.
    pub fn try_lock(path: &Path) -> Result<Attempt> {
        for _ in 0..RESTARTS {
            let file = open(path).map_err(|e| io_error("open the lock file", path, &e))?;
            refuse_network(&file, path)?;
            // Fully qualified: since Rust 1.89 `File` has methods of its own with names close to these.
            match fs2::FileExt::try_lock_exclusive(&file) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
                    return Ok(Attempt::Contended)
                }
                Err(e) => return Err(io_error("lock", path, &e)),
            }
            let lock = FileLock { file, path: path.to_owned() };
            if lock.still_ours()? {
                return Ok(Attempt::Locked(lock));
            }
        }
        Err(Error::new(
            Code::StoreUnavailable,
            format!(
                "the lock file {} was replaced {RESTARTS} times while it was being locked; find out what deletes it",
                path.display()
            ),
        ))
    }

    /// Whether the path still leads to the file that we locked.
    pub fn still_ours(&self) -> Result<bool> {
        let locked = FileId::of_file(&self.file).map_err(|e| io_error("look at", &self.path, &e))?;
        let found = FileId::of_path(&self.path).map_err(|e| io_error("look at", &self.path, &e))?;
        Ok(found == Some(locked))
    }
}

/// Which file a path or a descriptor means: equal for two names of one file, different after a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

#[cfg(unix)]
impl From<std::fs::Metadata> for FileId {
    fn from(meta: std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        FileId { device: meta.dev(), inode: meta.ino() }
    }
}

// Elsewhere a file that is open can't be replaced by default, so all files may look the same.
#[cfg(not(unix))]
impl From<std::fs::Metadata> for FileId {
    fn from(_: std::fs::Metadata) -> Self {
        FileId { device: 0, inode: 0 }
    }
}

impl FileId {
    /// Of an open file.
    pub fn of_file(file: &File) -> io::Result<FileId> {
        Ok(file.metadata()?.into())
    }

    /// Of what the path leads to now; `None` if nothing is there. Opens nothing.
    pub fn of_path(path: &Path) -> io::Result<Option<FileId>> {
        match std::fs::metadata(path) {
            Ok(meta) => Ok(Some(meta.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// `STORE_UNAVAILABLE` that names the path and what the operating system said.
pub(crate) fn io_error(what: &str, path: &Path, error: &io::Error) -> Error {
    Error::new(
        Code::StoreUnavailable,
        format!(
            "cannot {what} {}: {error}; check that the folder is writable by this user and the disk has room",
            path.display()
        ),
    )
}

/// Read and write, because an exclusive lock wants a writable descriptor on some systems; never truncated; Rust opens with
/// `O_CLOEXEC`, so a child process does not inherit the lock.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// `INVALID_OPTION` naming `store` if this file or folder lives on another machine.
pub(crate) fn refuse_network(file: &File, path: &Path) -> Result<()> {
    match network_kind(file).map_err(|e| io_error("ask for the file system of", path, &e))? {
        None => Ok(()),
        Some(kind) => Err(Error::option(
            "store",
            format!(
                "{} is on {kind}: a lock there can be lost without notice while a process is frozen, and SQLite's shared memory does \
                 not reach other machines; use a folder on a local disk",
                path.display()
            ),
        )),
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn network_kind(file: &File) -> io::Result<Option<&'static str>> {
    use std::os::fd::AsRawFd;
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open for the whole call and `stat` has room for what the kernel writes.
    let code = unsafe { libc::fstatfs(file.as_raw_fd(), stat.as_mut_ptr()) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the kernel filled it in.
    let magic = unsafe { stat.assume_init() }.f_type;
    // The width and sign of the field differ between targets; the magic numbers are 32 bits.
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(network_name(magic as u32))
}

/// File systems of other machines, by the magic number of statfs(2). FUSE and 9p are not among them: they can be either, and
/// some sandboxes show every local folder as one of them.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn network_name(magic: u32) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS (or EFS)"),
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => Some("SMB/CIFS"),
        0x564C => Some("NCP"),
        0x7375_7245 => Some("Coda"),
        0x5346_414F | 0x6B41_4653 => Some("AFS"),
        0x00C3_6400 => Some("Ceph"),
        0x0BD0_0BD0 => Some("Lustre"),
        0x4750_4653 => Some("GPFS"),
        0x0116_1970 => Some("GFS2"),
        0x7461_636F => Some("OCFS2"),
        _ => None,
    }
}

#[cfg(any(target_os = "macos", target_os = "ios"))]
fn network_kind(file: &File) -> io::Result<Option<&'static str>> {
    use std::os::fd::AsRawFd;
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open for the whole call and `stat` has room for what the kernel writes.
    let code = unsafe { libc::fstatfs(file.as_raw_fd(), stat.as_mut_ptr()) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the kernel filled it in.
    let local = unsafe { stat.assume_init() }.f_flags & (libc::MNT_LOCAL as u32) != 0;
    Ok(if local { None } else { Some("a network file system") })
}

// Elsewhere there is no easy way to ask; the docs say what is not supported.
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "ios")))]
fn network_kind(_: &File) -> io::Result<Option<&'static str>> {
    Ok(None)
}

#[cfg(test)]
#[path = "lock_tests.rs"]
mod tests;

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn locked(path: &Path) -> FileLock {
    match FileLock::try_lock(path).unwrap() {
        Attempt::Locked(lock) => lock,
        Attempt::Contended => panic!("{} is held", path.display()),
    }
}

fn contended(path: &Path) -> bool {
    matches!(FileLock::try_lock(path).unwrap(), Attempt::Contended)
}

#[test]
fn a_second_lock_in_the_same_process_is_contended_until_the_first_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.lock");
    let first = locked(&path);
    assert!(contended(&path));
    drop(first);
    assert!(!contended(&path));
}

#[test]
fn a_forgotten_duplicate_of_the_descriptor_does_not_keep_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.lock");
    let lock = locked(&path);
    // What a child process has between fork and exec.
    let _duplicate = lock.file.try_clone().unwrap();
    drop(lock);
    assert!(!contended(&path));
}

#[test]
fn the_file_stays_when_the_lock_is_dropped_and_its_content_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.lock");
    std::fs::write(&path, b"not ours to erase").unwrap();
    drop(locked(&path));
    assert_eq!(std::fs::read(&path).unwrap(), b"not ours to erase");
}

#[test]
fn a_holder_notices_that_the_file_was_deleted_or_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.lock");
    let first = locked(&path);
    assert!(first.still_ours().unwrap());
    std::fs::remove_file(&path).unwrap();
    assert!(!first.still_ours().unwrap());
    let second = locked(&path);
    assert!(!first.still_ours().unwrap());
    assert!(second.still_ours().unwrap());
}

#[test]
fn a_folder_in_the_way_is_an_error_with_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let error = FileLock::try_lock(dir.path()).unwrap_err();
    assert_eq!(error.code, Code::StoreUnavailable);
    assert!(error.message.contains(&dir.path().display().to_string()), "{error}");
}

#[cfg(unix)]
#[test]
fn the_lock_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.lock");
    let _lock = locked(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[cfg(target_os = "linux")]
#[test]
fn file_systems_of_other_machines_are_known_by_their_magic_numbers() {
    for (magic, local) in [(0x6969, false), (0xFF53_4D42, false), (0x517B, false), (0xEF53, true), (0x0102_1994, true)]
    {
        assert_eq!(network_name(magic).is_none(), local, "{magic:#x}");
    }
}

#[test]
fn a_local_folder_is_not_refused() {
    let dir = tempfile::tempdir().unwrap();
    refuse_network(&File::open(dir.path()).unwrap(), dir.path()).unwrap();
}

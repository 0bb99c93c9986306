#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

/// A row of that name, as the first 33 bytes of what is stored say that it was sealed at that commit.
fn sum(name: &str, seq: u64) -> u128 {
    Sums::new(&StoreKey::new([1; 32])).of_row(name, &[&[1], seq.to_be_bytes().as_slice(), &[0; 64]].concat())
}

fn manifest(rows: &[(&str, &str, u64)]) -> Manifest {
    let mut manifest = Manifest::default();
    rows.iter().for_each(|(class, name, seq)| manifest.add(class, sum(name, *seq)));
    manifest
}

#[test]
fn a_row_adds_something_else_at_another_commit_with_another_nonce_and_under_another_name() {
    let sums = Sums::new(&StoreKey::new([1; 32]));
    let stored = [1; 60];
    let same = sums.of_row("a", &stored);
    for byte in 0..33 {
        let mut other = stored;
        other[byte] = 2;
        assert_ne!(sums.of_row("a", &other), same, "byte {byte}");
    }
    assert_ne!(sums.of_row("b", &stored), same);
    assert_ne!(Sums::new(&StoreKey::new([2; 32])).of_row("a", &stored), same);
}

#[test]
fn rows_come_and_go_in_any_order_and_leave_what_is_there() {
    let there = [("a", "a/1", 1), ("b", "b/1", 4)];
    let mut changed = manifest(&[("b", "b/1", 2), ("a", "a/2", 3), ("c", "c/1", 1), ("a", "a/1", 1)]);
    changed.remove("a", sum("a/2", 3));
    changed.remove("b", sum("b/1", 2));
    changed.add("b", sum("b/1", 4));
    changed.remove("c", sum("c/1", 1));
    assert_eq!(changed, manifest(&there));
    assert_eq!(changed.problem(&manifest(&there), None), None);
}

#[test]
fn what_is_gone_came_back_or_is_older_is_named() {
    let written = manifest(&[("a", "a/1", 5), ("a", "a/2", 6), ("b", "b/1", 6)]);
    for (found, expected) in [
        (manifest(&[("a", "a/1", 5), ("b", "b/1", 6)]), "of 2 rows under hot/a/ only 1 are there"),
        (manifest(&[("a", "a/1", 5), ("a", "a/2", 6)]), "of 1 rows under hot/b/ only 0 are there"),
        (manifest(&[("a", "a/1", 4), ("a", "a/2", 6), ("b", "b/1", 6)]), "one that the last commit did not leave"),
        (manifest(&[("a", "a/1", 6), ("a", "a/2", 5), ("b", "b/1", 6)]), "one that the last commit did not leave"),
        (manifest(&[("a", "a/1", 5), ("a", "a/2", 6), ("b", "b/1", 6), ("c", "c/1", 1)]), "deleted ones came back"),
    ] {
        let problem = written.problem(&found, None).unwrap();
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn only_the_classes_that_were_looked_for_are_missed() {
    let written = manifest(&[("a", "a/1", 5), ("b", "b/1", 6)]);
    let found = manifest(&[("b", "b/1", 6)]);
    assert_eq!(written.problem(&found, Some(&["b"])), None);
    assert!(written.problem(&found, Some(&["b", "a"])).is_some());
    assert!(written.problem(&found, None).is_some());
}

#[test]
fn it_is_stored_and_loaded_as_it_is_and_its_size_grows_with_classes_alone() {
    let mut few = manifest(&[("0123456789abcdef", "x", 1)]);
    few.server = Some(Server { system: u64::MAX, timeline: 3 });
    assert_eq!(serde_json::from_slice::<Manifest>(&serde_json::to_vec(&few).unwrap()).unwrap(), few);
    let size = |rows: u64| {
        let mut manifest = Manifest::default();
        (0..rows).for_each(|row| manifest.add("0123456789abcdef", sum("a", row)));
        serde_json::to_vec(&manifest).unwrap().len()
    };
    assert!(size(1_000) <= size(1) + 5, "{} and {}", size(1), size(1_000));
    let none = Manifest::default();
    assert_eq!(serde_json::from_slice::<Manifest>(&serde_json::to_vec(&none).unwrap()).unwrap(), none);
}

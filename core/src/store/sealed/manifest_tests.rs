#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn sums() -> Sums {
    Sums::new(&StoreKey::new([1; 32]))
}

fn manifest(rows: &[(&str, &str, u64)]) -> Manifest {
    let mut manifest = Manifest::default();
    rows.iter().for_each(|(class, name, seq)| manifest.add(&sums(), class, name, Seq(*seq)));
    manifest
}

#[test]
fn rows_come_and_go_in_any_order_and_leave_what_is_there() {
    let there = [("a", "a/1", 1), ("b", "b/1", 4)];
    let mut changed = manifest(&[("b", "b/1", 2), ("a", "a/2", 3), ("c", "c/1", 1), ("a", "a/1", 1)]);
    changed.remove(&sums(), "a", "a/2", Seq(3));
    changed.remove(&sums(), "b", "b/1", Seq(2));
    changed.add(&sums(), "b", "b/1", Seq(4));
    changed.remove(&sums(), "c", "c/1", Seq(1));
    assert_eq!(changed, manifest(&there));
    assert_eq!(changed.problem(&manifest(&there), None), None);
}

#[test]
fn what_is_gone_came_back_or_is_older_is_named() {
    let written = manifest(&[("a", "a/1", 5), ("a", "a/2", 6), ("b", "b/1", 6)]);
    for (found, expected) in [
        (manifest(&[("a", "a/1", 5), ("b", "b/1", 6)]), "of 2 rows under hot/a/ only 1 are there"),
        (manifest(&[("a", "a/1", 5), ("a", "a/2", 6)]), "of 1 rows under hot/b/ only 0 are there"),
        (manifest(&[("a", "a/1", 4), ("a", "a/2", 6), ("b", "b/1", 6)]), "one that is older"),
        (manifest(&[("a", "a/1", 6), ("a", "a/2", 5), ("b", "b/1", 6)]), "one that is older"),
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
        (0..rows).for_each(|row| manifest.add(&sums(), "0123456789abcdef", &row.to_string(), Seq(row)));
        serde_json::to_vec(&manifest).unwrap().len()
    };
    assert!(size(1_000) <= size(1) + 5, "{} and {}", size(1), size(1_000));
    let none = Manifest::default();
    assert_eq!(serde_json::from_slice::<Manifest>(&serde_json::to_vec(&none).unwrap()).unwrap(), none);
}

use super::{EventType, Outbox, PaymentEvent};
use crate::store::{Batch, Rows};

fn event(id: &str) -> PaymentEvent {
    PaymentEvent {
        id: id.to_owned(),
        event_type: EventType::Received,
        payment_hash: "00".repeat(32),
        payment_id: None,
        amount_msat: 1,
        skimmed_msat: 0,
        reason: None,
        timestamp_ms: 0,
        wake_by: None,
    }
}

fn apply(rows: &mut Rows, outbox: &mut Outbox) {
    let mut batch = Batch::default();
    outbox.stage(&mut batch).unwrap();
    for key in batch.deletes() {
        rows.remove(key);
    }
    rows.extend(batch.puts().clone());
    outbox.committed();
}

#[test]
fn an_event_is_handed_out_only_after_the_commit_that_holds_it() {
    let mut outbox = Outbox::default();
    outbox.push(event("a"));
    assert_eq!(outbox.iter().count(), 0);
    assert!(outbox.wants_commit());
    apply(&mut Rows::new(), &mut outbox);
    assert_eq!(outbox.iter().count(), 1);
    assert!(!outbox.wants_commit());
}

#[test]
fn an_event_that_was_not_acked_comes_back_after_a_reload_in_order_and_with_its_id() {
    let (mut outbox, mut rows) = (Outbox::default(), Rows::new());
    for id in ["a", "b", "c"] {
        outbox.push(event(id));
    }
    apply(&mut rows, &mut outbox);
    assert!(outbox.ack("b"));
    assert!(!outbox.ack("b"), "an ack counts once");
    apply(&mut rows, &mut outbox);
    let reloaded = Outbox::load(&rows, 0).unwrap();
    let ids: Vec<_> = reloaded.iter().map(|e| e.id.clone()).collect();
    assert_eq!(ids, ["a", "c"]);
    assert_eq!(reloaded.next_number(), 3, "numbers never repeat while an event is kept");
}

#[test]
fn what_is_told_and_not_acked_counts_whether_committed_or_not() {
    let mut outbox = Outbox::default();
    outbox.push(event("a"));
    assert!(outbox.tells(EventType::Received, &"00".repeat(32)));
    apply(&mut Rows::new(), &mut outbox);
    outbox.push(event("b"));
    assert_eq!(outbox.count(EventType::Received), 2);
    assert_eq!(outbox.count(EventType::SkimRefused), 0);
    assert!(!outbox.tells(EventType::Received, &"11".repeat(32)));
    assert!(!outbox.tells(EventType::SkimRefused, &"00".repeat(32)));
    assert!(outbox.ack("a"));
    assert_eq!(outbox.count(EventType::Received), 1);
}

#[test]
fn an_event_row_that_does_not_parse_is_state_corrupt() {
    let rows = Rows::from([("outbox/0000000000000000".to_owned(), b"{".to_vec())]);
    assert_eq!(Outbox::load(&rows, 0).unwrap_err().code, crate::error::Code::StateCorrupt);
}

/// Its ack would delete the row of the right name, and the event be told for ever.
#[test]
fn an_event_row_whose_key_is_not_as_it_was_written_is_state_corrupt() {
    let bytes = serde_json::to_vec(&event("a")).unwrap();
    for number in ["0", "+000000000000001", "000000000000000A", "00000000000000010", "0000000000000001\n\u{202e}", ""] {
        let error = Outbox::load(&Rows::from([(format!("outbox/{number}"), bytes.clone())]), 0).unwrap_err();
        assert_eq!(error.code, crate::error::Code::StateCorrupt, "{number}");
        assert!(!error.message.contains(['\n', '\u{202e}']), "{error:?}");
    }
}

#[test]
fn an_outbox_that_could_not_count_on_is_state_corrupt() {
    let bytes = serde_json::to_vec(&event("a")).unwrap();
    let last = Rows::from([(format!("outbox/{:016x}", u64::MAX), bytes)]);
    for (rows, next) in [(Rows::new(), u64::MAX), (last, 0)] {
        assert_eq!(Outbox::load(&rows, next).unwrap_err().code, crate::error::Code::StateCorrupt);
    }
    Outbox::load(&Rows::new(), u64::MAX / 2).unwrap().push(event("b"));
}

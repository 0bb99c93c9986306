use super::*;
use crate::error::Code;
use std::sync::mpsc::{channel, Receiver};

/// A reply, and what it was answered.
fn reply() -> (Reply<u32>, Receiver<Result<u32>>) {
    let (answered, answers) = channel();
    (Reply::new(move |result| drop(answered.send(result))), answers)
}

fn all(answers: &Receiver<Result<u32>>) -> Vec<std::result::Result<u32, Code>> {
    answers.try_iter().map(|result| result.map_err(|error| error.code)).collect()
}

#[test]
fn a_reply_that_is_dropped_says_that_the_node_is_destroyed() {
    let (reply, answers) = reply();
    drop(reply);
    assert_eq!(all(&answers), [Err(Code::NodeDestroyed)]);
}

#[test]
fn a_reply_that_is_owed_is_given_up_while_its_task_still_has_it() {
    let owed = Owed::default();
    let (reply, answers) = reply();
    let stuck = owed.note(reply);
    owed.give_up();
    assert_eq!(all(&answers), [Err(Code::NodeDestroyed)]);
    stuck.send(Ok(1));
    owed.give_up();
    assert_eq!(all(&answers), [], "one answer is enough");
}

#[test]
fn a_reply_that_was_answered_or_dropped_is_owed_no_more() {
    let owed = Owed::default();
    let (answered, answers) = reply();
    owed.note(answered).send(Ok(1));
    let (dropped, dropped_answers) = reply();
    drop(owed.note(dropped));
    owed.give_up();
    assert_eq!(all(&answers), [Ok(1)]);
    assert_eq!(all(&dropped_answers), [Err(Code::NodeDestroyed)]);
}

#[test]
fn an_answer_is_waited_for_until_it_is_given_or_nobody_can_give_it() {
    let owed = Owed::default();
    assert!(!owed.is_waiting());
    let (first, first_answers) = reply();
    let (second, second_answers) = reply();
    let (first, second) = (owed.note(first), owed.note(second));
    let twin = first.clone();
    first.send(Ok(1));
    assert!(twin.is_settled() && !second.is_settled());
    assert!(owed.is_waiting());
    twin.send(Ok(2));
    assert_eq!(all(&first_answers), [Ok(1)], "the first answer counts");
    drop(second);
    assert_eq!(all(&second_answers), [Err(Code::NodeDestroyed)]);
    assert!(!owed.is_waiting());
}

#[test]
fn a_reply_that_a_panic_drops_is_internal() {
    let (reply, answers) = reply();
    let owed = Owed::default();
    let due = owed.note(reply);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _due = due;
        panic!("as asked");
    }));
    assert!(panicked.is_err());
    assert_eq!(all(&answers), [Err(Code::Internal)]);
}

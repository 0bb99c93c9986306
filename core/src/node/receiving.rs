//! A `receivePayment` as a whole, for whoever watches: its span begins with the call and ends with the last answer to it.

use crate::error::Result;
use crate::events::PaymentEvent;
use crate::log::{note, phase};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::field::Empty;
use tracing::Span;

/// The one of a node that is under way, if any.
#[derive(Default)]
pub(super) struct Receiving(Mutex<Option<Open>>);

struct Open {
    span: Span,
    payments: u64,
    amount_msat: u64,
}

impl Receiving {
    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller begins. One that it had left without an answer ends here.
    pub fn begins(&self) {
        let span = phase!(target: "mayfly::node", INFO, "receivePayment", payments = Empty, amount_msat = Empty);
        *self.open() = Some(Open { span, payments: 0, amount_msat: 0 });
    }

    /// The caller is answered: a payment, the end, or an error.
    pub fn answered(&self, answer: &Result<Option<PaymentEvent>>) {
        match answer {
            Ok(Some(payment)) => {
                if let Some(open) = self.open().as_mut() {
                    open.payments += 1;
                    open.amount_msat = open.amount_msat.saturating_add(payment.amount_msat);
                }
            }
            ended => self.end(|span| note(span, ended)),
        }
    }

    /// The caller's own code failed.
    pub fn thrown(&self) {
        self.end(|span| {
            span.record("outcome", "thrown");
        });
    }

    /// It ended with that, before any payment was asked for.
    pub fn ended<T>(&self, result: &Result<T>) {
        self.end(|span| note(span, result));
    }

    fn end(&self, say: impl FnOnce(&Span)) {
        let open = self.open().take();
        if let Some(Open { span, payments, amount_msat }) = open {
            span.record("payments", payments).record("amount_msat", amount_msat);
            say(&span);
        }
    }
}

mod deadlines;
mod ledger;
mod money;
mod moved;
mod payment_policy;
mod receipts;
mod row;
pub(crate) mod till;

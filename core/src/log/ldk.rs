//! LDK's log lines as `tracing` events, so that one listener hears everything.

use lightning::util::logger::{Level, Logger, Record};

/// Sees every record before its level is looked at.
pub type Observer = Box<dyn Fn(&Record) + Send + Sync>;

/// Hands LDK's records to `tracing`, with the role of the node in them (`node`, or the lab's `lsp`, `payer`).
pub struct LdkLog {
    role: &'static str,
    observer: Option<Observer>,
}

impl LdkLog {
    /// A logger for a node of that role.
    pub fn new(role: &'static str) -> Self {
        LdkLog { role, observer: None }
    }

    /// The same, with someone who sees every record: LDK tells of each wire message only here.
    pub fn observed(role: &'static str, observer: Observer) -> Self {
        LdkLog { role, observer: Some(observer) }
    }
}

impl Logger for LdkLog {
    fn log(&self, record: Record) {
        if let Some(observer) = &self.observer {
            observer(&record);
        }
        let (role, module) = (self.role, record.module_path);
        // `$level` must be constant per call site: one arm each.
        macro_rules! tell {
            ($level:expr) => {
                if tracing::enabled!(target: "ldk", $level) {
                    let message = without_secrets(record.args.to_string());
                    tracing::event!(target: "ldk", $level, role, module, "{message}");
                }
            };
        }
        // One step lower than LDK has it: what a node of its own wants to know is a detail to whoever wants to be paid.
        match record.level {
            Level::Gossip | Level::Trace | Level::Debug => tell!(tracing::Level::TRACE),
            Level::Info => tell!(tracing::Level::DEBUG),
            Level::Warn => tell!(tracing::Level::WARN),
            Level::Error => tell!(tracing::Level::ERROR),
        }
    }
}

/// LDK prints preimages and payment secrets, some before the claim is committed. A line that speaks of either loses every
/// 32-byte hexadecimal number in it: also harmless ones, which is the price of not parsing LDK's prose.
fn without_secrets(line: String) -> String {
    let lower = line.to_ascii_lowercase();
    if !lower.contains("preimage") && !lower.contains("secret") && !lower.contains("fulfill") {
        return line;
    }
    let mut kept = String::with_capacity(line.len());
    let mut run = String::new();
    for character in line.chars().chain(std::iter::once('\0')) {
        if character.is_ascii_hexdigit() {
            run.push(character);
            continue;
        }
        kept.push_str(if run.len() >= SECRET_HEX_DIGITS { "(hidden)" } else { &run });
        run.clear();
        if character != '\0' {
            kept.push(character);
        }
    }
    kept
}

/// 32 bytes.
const SECRET_HEX_DIGITS: usize = 64;

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn a_line_about_a_preimage_or_a_secret_loses_it_and_keeps_the_rest() {
        let secret = "ab".repeat(32);
        for line in [
            format!("Claiming inbound HTLC id 3 with preimage {secret}"),
            format!("payment_preimage: Some({secret}), payment_secret: PaymentSecret({secret})"),
            format!("Enqueueing message UpdateFulfillHTLC {{ htlc_id: 3, x: {secret} }}"),
        ] {
            let told = without_secrets(line.clone());
            assert!(!told.contains(&secret), "{told}");
            assert_eq!(told, line.replace(&secret, "(hidden)"));
        }
    }

    #[test]
    fn other_lines_stay_as_they_are() {
        let line = format!("Received a valid revoke_and_ack for channel {}", "cd".repeat(32));
        assert_eq!(without_secrets(line.clone()), line);
    }
}

//! Logs go to stderr: stdout has one line, for the parent.

use tracing::Level;

/// Sends everything up to `level` to stderr. A second call changes nothing.
pub fn to_stderr(level: Level) {
    let subscriber =
        tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).finish();
    // Fails only when a subscriber is set already, which is as good.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

//! Ctrl-C and SIGTERM.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit;
use super::output::Output;

/// Watches for signals from now on. The first fires the token: work on the server is ended by
/// cancel and nothing half-done is left. The second ends the process at once.
pub fn watch(output: Output) -> CancellationToken {
    let cancel = CancellationToken::new();
    let fired = cancel.clone();
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) else {
            output.say("warning: signals cannot be caught, Ctrl-C ends the process at once");
            return;
        };
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        fired.cancel();
        output.say("interrupted: ending (once more ends pgstow at once)");
        next().await;
        std::process::exit(i32::from(exit::INTERRUPTED));
    });
    cancel
}

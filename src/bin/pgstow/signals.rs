//! Ctrl-C, SIGTERM and SIGHUP, and the one of a limit on the size of files.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit;
use super::output::Output;

/// SIGXFSZ, which has this number on all systems but MIPS.
const FILE_TOO_LARGE: i32 = 25;

/// Watches for signals from now on. The first fires the token: work on the server is ended by
/// cancel and nothing half-done is left. The second ends the process at once.
pub fn watch(output: Output) -> CancellationToken {
    let cancel = CancellationToken::new();
    let fired = cancel.clone();
    // A file that grows beyond `ulimit -f` ends the process by default. Once the signal is taken, the write that
    // went too far fails instead, and is told and cleaned up as any other. Nobody need hear the signal itself.
    let taken = signal(SignalKind::from_raw(FILE_TOO_LARGE));
    if taken.is_err() {
        output.say("warning: a limit on the size of files ends the process at once");
    }
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) else {
            output.say("warning: signals cannot be caught, Ctrl-C ends the process at once");
            return;
        };
        let mut hangup = match hangup_is_ignored() {
            false => signal(SignalKind::hangup()).ok(),
            true => None,
        };
        let mut next = async || {
            let gone = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = gone => {}
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

/// Whether whoever started this wants it to outlive its terminal (`nohup`): to take the signal would undo that. Where
/// the system does not tell, it is left as it is.
fn hangup_is_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| ignores_hangup(&status))
        .unwrap_or(true)
}

/// The first of the signals that a process ignores, of what the system says of it.
fn ignores_hangup(status: &str) -> Option<bool> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_has_set_is_seen() {
        for (status, ignored) in [
            ("Name:\tx\nSigIgn:\t0000000000001000\n", Some(false)),
            ("SigIgn:\t0000000000001001\n", Some(true)),
            ("SigCgt:\t0000000000000001\n", None),
        ] {
            assert_eq!(ignores_hangup(status), ignored);
        }
    }
}

//! What a restore writes down in its target, so that it can go on after whatever ended it.
//!
//! Every transaction of a restore records in itself what it does. So a session that is lost while it
//! commits is no riddle: the next one looks. And a later run knows what is left to do, whatever
//! became of this one. The record shares the fate of the work: what a crashed server lost, because
//! sessions commit without waiting for the disk, is lost together with its record.
//!
//! The journal is a schema of its own in the target, and is dropped when all is done. In it:
//! - `run`: one row that says which archive is restored, with which options, and by whom;
//! - `done`: what was done. Its key keeps anything from being done twice;
//! - `alive`: one row in an unlogged table, which a server empties when it recovers from a crash. A
//!   run that finds it empty must not believe what it was told was committed, and fills unlogged tables
//!   and sequences of the archive again, which were emptied with it.
//!
//! Every session sits on a seat: an advisory lock under its number. Whoever takes the seat of a lost
//! session ends what the server still does for that, and only then looks what became of it.

mod found;
mod keep;
mod seats;
mod tables;
mod unit;
mod unlogged;

use std::time::Duration;

pub(super) use found::{Standing, look, refuse_others};
pub(super) use keep::{Fate, Journal, Opener, Run};
pub(super) use tables::drop_it;
pub(super) use unit::Unit;
pub(super) use unlogged::unlogged;

/// The first pause between two attempts, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(3));

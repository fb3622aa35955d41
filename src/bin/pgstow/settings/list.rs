//! What a listing is asked for.

use pgstow::encryption::Keys;
use pgstow::error::Result;
use pgstow::ops::ListOptions;
use pgstow::select::LeaveOut;

use super::chosen::{content, filter, leave_out, sections, statistics};
use crate::{args, keys};

/// What is listed of an archive.
pub fn list(args: args::List) -> Result<(String, Keys, ListOptions)> {
    let keys = keys::keys(&args.decrypt)?;
    let mut options = ListOptions::default();
    options.content = content(&args.what.parts)?;
    options.sections = sections(&args.what.parts)?;
    options.leave_out = LeaveOut {
        statistics: !statistics(&args.what.parts, true)?,
        ..leave_out(&args.what.left_out)
    };
    let file = args.archive.file;
    options.filter = filter(args.what.names, args.pick, &file)?;
    Ok((file, keys, options))
}

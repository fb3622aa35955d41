//! A script.

use pgstow::encryption::Keys;
use pgstow::error::Result;
use pgstow::ops::SqlOptions;

use super::chosen::{content, filter, leave_out, sections, statistics, which_globals};
use super::figures::version;
use crate::{args, keys};

/// A script as it is to be written.
#[derive(Debug)]
pub struct Sql {
    pub archive: String,
    pub script: String,
    pub keys: Keys,
    pub options: SqlOptions,
}

impl Sql {
    pub fn new(args: args::Sql) -> Result<Self> {
        let options = SqlOptions {
            content: content(&args.what.parts)?,
            sections: sections(&args.what.parts)?,
            clean: args.clean.clean,
            if_exists: args.clean.if_exists,
            leave_out: leave_out(&args.what.left_out),
            target_version: args.target_version.as_deref().map(version).transpose()?,
            skip_impossible: args.impossible.skip_impossible,
            role: args.role,
            restrict: !args.no_restrict,
            globals: which_globals(&args.whole_server)?,
            role_passwords: !args.role_passwords.no_role_passwords,
            statistics: statistics(&args.what.parts, false)?,
            filter: filter(args.what.names, args.pick, &args.archive.file)?,
        };
        options.validate()?;
        Ok(Self {
            archive: args.archive.file,
            script: args.script,
            keys: keys::keys(&args.decrypt)?,
            options,
        })
    }
}

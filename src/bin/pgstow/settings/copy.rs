//! A copy.

use pgstow::connect::ConfigSource;
use pgstow::error::{Error, Kind, Result};
use pgstow::ops::{Comparison, CopyOptions, GlobalsOptions, RestoreOptions};
use pgstow::select::{Content, Globals};

use super::chosen::which_globals;
use super::connection::{Connection, asking, connection};
use super::dump::reading;
use super::restore::filling;
use crate::args;

/// A copy as it is to be done.
#[derive(Debug)]
pub struct Copy {
    pub source: Connection,
    pub target: Connection,
    /// Whether only the plan is shown.
    pub dry_run: bool,
    pub options: CopyOptions,
}

impl Copy {
    pub fn new(args: args::Copy) -> Result<Self> {
        let filled = filling(&args.what, args.into, &args.reading.resources)?;
        let globals = which_globals(&args.whole_server)?;
        let role_passwords = !args.role_passwords.no_role_passwords;
        if !role_passwords && globals == Globals::No {
            return Err(Error::new(
                Kind::Usage,
                "option --no-role-passwords requires --globals or --globals-only",
            ));
        }
        let sequence_data = args.reading.sequence_data;
        let mut read = reading(args.what, args.reading)?;
        read.role = args.source_role;
        read.globals = GlobalsOptions {
            which: globals,
            role_passwords,
            ..GlobalsOptions::default()
        };
        // The one session that loads can take no more than one that reads gives.
        read.jobs = filled.jobs;
        let options = CopyOptions {
            target: RestoreOptions {
                // What was read is wanted, sequence values among it.
                content: match filled.content {
                    Content::SchemaOnly if sequence_data => Content::All,
                    Content::StatisticsOnly if sequence_data => Content::DataOnly,
                    content => content,
                },
                globals,
                role: args.target_role,
                ..filled
            },
            source: read,
            comparison: if args.no_verify {
                Comparison::Counts
            } else {
                Comparison::Fingerprints
            },
        };
        options.validate()?;
        let password = asking(&args.ask)?;
        let resolve = |conn| {
            connection(&ConfigSource {
                dbname: Some(conn),
                password,
                ..ConfigSource::default()
            })
        };
        Ok(Self {
            source: resolve(args.source)?,
            target: resolve(args.target)?,
            dry_run: args.dry_run,
            options,
        })
    }
}

//! A verification.

use pgstow::connect::PasswordPrompt;
use pgstow::encryption::Keys;
use pgstow::error::{Error, Kind, Result};
use pgstow::ops::VerifyOptions;

use super::connection::{connection, source};
use super::figures::{jobs, memory};
use crate::{args, keys};

/// A verification as it is to be done.
#[derive(Debug)]
pub struct Verify {
    pub file: String,
    pub password: PasswordPrompt,
    pub keys: Keys,
    pub options: VerifyOptions,
}

impl Verify {
    pub fn new(args: args::Verify) -> Result<Self> {
        let server = &args.server;
        if args.against.is_none() {
            let given = [
                ("-h/--host", server.host.is_some()),
                ("-p/--port", server.port.is_some()),
                ("-U/--username", server.username.is_some()),
                ("-W/--password", server.ask.password),
                ("--role", server.role.is_some()),
                ("-j/--jobs", args.resources.sessions.jobs.is_some()),
                ("--memory", args.resources.memory.is_some()),
            ];
            if let Some((name, _)) = given.into_iter().find(|(_, given)| *given) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("option {name} requires option --against"),
                ));
            }
        } else if args.archive.file == "-" {
            return Err(Error::new(
                Kind::Usage,
                "option --against needs an archive in a file, not from standard input",
            ));
        }
        let role = server.role.clone();
        let source = source(args.against, args.server)?;
        let against = match source.dbname {
            Some(_) => Some(connection(&source)?.config),
            None => None,
        };
        let options = VerifyOptions {
            against,
            jobs: jobs(&args.resources.sessions)?,
            memory_bytes: memory(&args.resources, VerifyOptions::default().memory_bytes)?,
            role,
        };
        options.validate()?;
        Ok(Self {
            file: args.archive.file,
            password: source.password,
            keys: keys::keys(&args.decrypt)?,
            options,
        })
    }
}

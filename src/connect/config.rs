//! The one configuration that every connection is made from.

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use crate::connect::choices::{ChannelBinding, RequireAuth, TargetAttrs};
use crate::connect::conninfo;
use crate::connect::environment::Environment;
use crate::connect::host::{Host, Reached};
use crate::connect::passfile::{self, Place};
use crate::connect::session::Session;
use crate::connect::startup;
use crate::connect::tls_settings::TlsSettings;
use crate::connect::uri;
use crate::connect::values::Values;
use crate::connect::wire::Wire;
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

const DEFAULT_APPLICATION_NAME: &str = "pgstow";

/// Whether a person may be, must be or must not be asked for a password. The library never asks;
/// it carries the wish to whoever does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordPrompt {
    /// Ask when the server wants a password and none is at hand.
    #[default]
    Auto,
    /// Never ask (`-w`).
    Never,
    /// Ask before the first attempt (`-W`).
    Force,
}

/// What the command line said about the connection. A connection string wins over the single
/// options, as in libpq's tools.
#[derive(Clone, Default)]
pub struct ConfigSource {
    /// A URI, a `key=value` string, or a plain database name.
    pub conninfo: Option<String>,
    /// `-h`: a host name, an address, a socket directory, or a comma-separated list.
    pub host: Option<String>,
    /// `-p`: a port, or a list as long as the hosts'.
    pub port: Option<String>,
    /// `-U`.
    pub user: Option<String>,
    /// `-d`: a database name or a connection string.
    pub dbname: Option<String>,
    /// `-w`, `-W`.
    pub password: PasswordPrompt,
}

/// Connection strings may hold a password: they are not shown.
impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |text: &Option<String>| text.as_deref().map(Secret::new);
        f.debug_struct("ConfigSource")
            .field("conninfo", &hidden(&self.conninfo))
            .field("host", &self.host)
            .field("port", &self.port)
            .field("user", &self.user)
            .field("dbname", &hidden(&self.dbname))
            .field("password", &self.password)
            .finish()
    }
}

/// TCP keepalive; `None` leaves the system's default.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keepalive {
    pub(super) enabled: bool,
    pub(super) idle: Option<Duration>,
    pub(super) interval: Option<Duration>,
    pub(super) count: Option<u32>,
    pub(super) user_timeout: Option<Duration>,
}

/// Everything that decides how a session is reached: resolved, checked, one or more hosts.
///
/// `Debug` and [`Config::describe`] never show a password.
#[derive(Clone, Debug)]
pub struct Config {
    pub(super) hosts: Vec<Host>,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) password: Option<Secret>,
    pub(super) passfile: Option<PathBuf>,
    pub(super) application_name: String,
    application_name_is_ours: bool,
    pub(super) options: Option<String>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) keepalive: Keepalive,
    pub(super) tls: TlsSettings,
    pub(super) channel_binding: ChannelBinding,
    pub(super) require_auth: RequireAuth,
    pub(super) require_peer: Option<String>,
    pub(super) target: TargetAttrs,
    pub(super) shuffle_hosts: bool,
    warnings: Vec<String>,
}

impl Config {
    /// Puts together what the command line, the connection string, the service file and the
    /// environment say, in this order of weight: connection string, command line, service,
    /// environment, defaults.
    ///
    /// # Errors
    /// Of kind [`Usage`](Kind::Usage): a string that cannot be parsed, an unknown parameter (the
    /// nearest right one is the hint), a value out of range, an unknown service, a parameter that
    /// asks for protection that is not implemented.
    pub fn resolve(source: &ConfigSource, environment: &dyn Environment) -> Result<Config> {
        let mut values = Values::default();
        let flags = [
            ("host", &source.host),
            ("port", &source.port),
            ("user", &source.user),
        ];
        for (name, value) in flags {
            if let Some(value) = value {
                values.set(name, value.clone());
            }
        }
        for text in [&source.dbname, &source.conninfo].into_iter().flatten() {
            uri::refuse_foreign(text)?;
            if conninfo::is_conninfo(text) {
                for (name, value) in conninfo::parse(text)? {
                    values.set(name, value);
                }
            } else {
                values.set("dbname", text.clone());
            }
        }
        values.add_service(environment)?;
        values.add_environment(environment)?;
        Self::of(&values, environment)
    }

    /// What all parameters together mean.
    fn of(values: &Values, environment: &dyn Environment) -> Result<Self> {
        let home = environment.home();
        let user = match values.owned("user") {
            Some(user) => user,
            None => environment.user().ok_or_else(|| {
                Error::new(Kind::Usage, "the user to connect as is not known")
                    .with_hint("give it with -U, in the connection string, or as PGUSER")
            })?,
        };
        let database = values.owned("dbname").unwrap_or_else(|| user.clone());
        if uri::is_uri(&database) {
            return Err(Error::new(
                Kind::Usage,
                "a connection URL stands where the name of a database belongs",
            )
            .with_hint("give it as the whole connection"));
        }
        for (what, value) in [("user", &user), ("database", &database)] {
            if value.contains('\0') {
                return Err(Error::new(
                    Kind::Usage,
                    format!("the {what} name holds a zero byte"),
                ));
            }
        }
        let application_name = values.owned("application_name");
        let application_name_is_ours = application_name.is_none();
        let passfile = values
            .owned("passfile")
            .map(PathBuf::from)
            .or_else(|| home.as_ref().map(|home| home.join(".pgpass")));
        let password = values.owned("password").map(Secret::new);
        let mut warnings = Vec::new();
        if password.is_none()
            && let Some(complaint) = passfile.as_deref().and_then(passfile::complaint)
        {
            warnings.push(complaint);
        }
        let tls = TlsSettings::of(values, home.as_deref())?;
        let channel_binding = values
            .choice("channel_binding")?
            .unwrap_or(ChannelBinding::Prefer);
        Ok(Self {
            hosts: Host::all(
                &values.list("host"),
                &values.list("hostaddr"),
                &values.list("port"),
            )?,
            user,
            database,
            password,
            passfile,
            application_name: application_name
                .or_else(|| values.owned("fallback_application_name"))
                .unwrap_or_else(|| DEFAULT_APPLICATION_NAME.to_owned()),
            application_name_is_ours: application_name_is_ours
                && values.get("fallback_application_name").is_none(),
            options: values.owned("options"),
            connect_timeout: values.seconds("connect_timeout")?,
            keepalive: Keepalive {
                enabled: values.integer("keepalives")?.is_none_or(|value| value != 0),
                idle: values.seconds("keepalives_idle")?,
                interval: values.seconds("keepalives_interval")?,
                count: values.positive("keepalives_count")?,
                user_timeout: values
                    .positive("tcp_user_timeout")?
                    .map(|milliseconds| Duration::from_millis(milliseconds.into())),
            },
            tls,
            channel_binding,
            require_auth: RequireAuth::parse(values.get("require_auth").unwrap_or_default())?,
            require_peer: values.owned("requirepeer"),
            target: values
                .choice("target_session_attrs")?
                .unwrap_or(TargetAttrs::Any),
            shuffle_hosts: match values.get("load_balance_hosts") {
                None | Some("disable") => false,
                Some("random") => true,
                Some(other) => {
                    return Err(Error::new(
                        Kind::Usage,
                        format!("invalid load_balance_hosts value: \"{other}\""),
                    )
                    .with_hint("one of disable, random"));
                }
            },
            warnings,
        })
    }

    /// The same with another database.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Config {
        let mut config = self.clone();
        name.clone_into(&mut config.database);
        config
    }

    /// The same, for one server alone: what a session has is known to that one only.
    pub(crate) fn pinned(&self, reached: &Reached) -> Config {
        Config {
            hosts: vec![reached.0.clone()],
            shuffle_hosts: false,
            ..self.clone()
        }
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// `postgres@localhost:5432/db`, all hosts, for messages; never a secret.
    pub fn describe(&self) -> String {
        let mut text = format!("{}@", self.user);
        for (position, host) in self.hosts.iter().enumerate() {
            if position > 0 {
                text.push(',');
            }
            text.push_str(&host.describe());
        }
        let _ = write!(text, "/{}", self.database);
        text
    }

    /// The same with a password that a person typed.
    #[must_use]
    pub fn with_password(&self, password: String) -> Config {
        let mut config = self.clone();
        config.password = Some(Secret::new(password));
        config
    }

    /// `pgstow` becomes `pgstow dump worker 3`; a name that the user set stays as it is.
    #[must_use]
    pub fn with_application_name_suffix(&self, suffix: &str) -> Config {
        let mut config = self.clone();
        if config.application_name_is_ours {
            config.application_name = format!("{DEFAULT_APPLICATION_NAME} {suffix}");
        }
        config
    }

    /// What the user should be told before connecting, such as a password file that is ignored
    /// because others can read it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A session on the control plane.
    ///
    /// # Errors
    /// Of kind [`Connect`](Kind::Connect), naming every host that was tried, the database and the
    /// user; see [`needs_password`](super::needs_password).
    pub async fn connect(&self) -> Result<Session> {
        Session::establish(startup::establish(self).await?, self).await
    }

    /// A session on the data plane.
    ///
    /// # Errors
    /// As [`Config::connect`].
    pub async fn connect_wire(&self) -> Result<Wire> {
        startup::establish(self).await.map(Wire::new)
    }

    /// The password for one host: the given one, else from the password file.
    pub(super) fn password_for(&self, host: &Host) -> Option<Secret> {
        if let Some(password) = &self.password {
            return Some(password.clone());
        }
        passfile::look_up(
            self.passfile.as_deref()?,
            Place {
                host: &host.passfile_name(),
                port: host.port,
                database: &self.database,
                user: &self.user,
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::connect::choices::SslMode;
    use crate::connect::tls_settings::RootCertificates;

    use super::*;

    /// A variable with this value is set to no text.
    const BYTES: &str = "\u{fffd}";

    struct Env(Vec<(&'static str, &'static str)>);

    impl Environment for Env {
        fn get(&self, name: &str) -> Option<String> {
            self.0
                .iter()
                .find(|(known, value)| *known == name && *value != BYTES)
                .map(|(_, value)| (*value).to_owned())
        }

        fn not_text(&self) -> Vec<String> {
            let broken = self.0.iter().filter(|(_, value)| *value == BYTES);
            broken.map(|(name, _)| (*name).to_owned()).collect()
        }

        fn user(&self) -> Option<String> {
            Some("me".to_owned())
        }
    }

    fn resolve(conninfo: &str) -> Result<Config> {
        resolve_in(conninfo, &[])
    }

    fn resolve_in(conninfo: &str, env: &[(&'static str, &'static str)]) -> Result<Config> {
        let source = ConfigSource {
            conninfo: Some(conninfo.to_owned()),
            ..ConfigSource::default()
        };
        Config::resolve(&source, &Env(env.to_vec()))
    }

    #[test]
    fn defaults() {
        let config = Config::resolve(&ConfigSource::default(), &Env(vec![])).unwrap();
        assert_eq!(
            config.describe(),
            "me@/var/run/postgresql:5432,/tmp:5432/me"
        );
        assert_eq!(config.application_name, "pgstow");
        assert_eq!(config.tls.mode, SslMode::Prefer);
        assert_eq!(config.channel_binding, ChannelBinding::Prefer);
        assert_eq!(config.connect_timeout, None);
        assert!(config.keepalive.enabled);
        // Nobody to connect as is a matter of usage.
        struct Nobody;
        impl Environment for Nobody {
            fn get(&self, _: &str) -> Option<String> {
                None
            }
        }
        let error = Config::resolve(&ConfigSource::default(), &Nobody).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
    }

    #[test]
    fn descriptions_show_where_and_no_secret() {
        for (conninfo, expected) in [
            ("postgres://u:pw-x@h/d", "u@h:5432/d"),
            ("postgres://u:pw-x@[::1]:6/d", "u@[::1]:6/d"),
            ("host=/run/x port=7 password=pw-x", "me@/run/x:7/me"),
            ("host=a,b port=1,2 user=u dbname=d", "u@a:1,b:2/d"),
            ("host=a,b port=9 dbname=d", "me@a:9,b:9/d"),
            ("host=a,b port=,9 dbname=d", "me@a:5432,b:9/d"),
            ("hostaddr=10.0.0.1 dbname=d", "me@10.0.0.1:5432/d"),
            ("hostaddr=::1 dbname=d", "me@[::1]:5432/d"),
            ("host=a hostaddr=10.0.0.1 dbname=d", "me@a:5432/d"),
            ("shop", "me@/var/run/postgresql:5432,/tmp:5432/shop"),
        ] {
            let config = resolve(conninfo).unwrap();
            assert_eq!(config.describe(), expected, "{conninfo}");
            assert!(!format!("{config:?}").contains("pw-x"));
            let source = ConfigSource {
                conninfo: Some(conninfo.to_owned()),
                dbname: Some(conninfo.to_owned()),
                ..ConfigSource::default()
            };
            assert!(!format!("{source:?}").contains("pw-x"));
            let typed = config.with_password("pw-y".to_owned());
            assert!(!format!("{typed:?}").contains("pw-y"));
        }
    }

    #[test]
    fn a_url_is_never_taken_for_a_name() {
        let url = "postgres://app:geheim@h/shop";
        let named = |name: &'static str| {
            Config::resolve(&ConfigSource::default(), &Env(vec![("PGDATABASE", name)])).unwrap_err()
        };
        let error = named(url);
        assert!(
            error.message().contains("a connection URL stands"),
            "{error}"
        );
        let error = resolve(&format!("dbname={url}")).unwrap_err();
        assert!(
            error.message().contains("a connection URL stands"),
            "{error}"
        );
        let error = named("postgis://app:geheim@h/shop");
        assert!(error.message().contains("PGDATABASE") && !error.message().contains("geheim"));
        let error = resolve("postgresql+asyncpg://app:geheim@h/shop?ssl=x").unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(!error.message().contains("geheim"), "{error}");
        assert_eq!(resolve("dbname='a:b@c'").unwrap().database(), "a:b@c");
    }

    #[test]
    fn the_heavier_source_wins() {
        let env = [
            ("PGHOST", "env"),
            ("PGPORT", "1"),
            ("PGUSER", "env"),
            ("PGDATABASE", "env"),
        ];
        assert_eq!(resolve_in("", &env).unwrap().describe(), "env@env:1/env");
        assert_eq!(
            resolve_in("host=x user=y", &env).unwrap().describe(),
            "y@x:1/env"
        );
        let source = ConfigSource {
            conninfo: Some("host=string dbname=d".to_owned()),
            host: Some("flag".to_owned()),
            port: Some("2".to_owned()),
            user: Some("flag".to_owned()),
            dbname: Some("other".to_owned()),
            password: PasswordPrompt::Auto,
        };
        assert_eq!(
            Config::resolve(&source, &Env(env.to_vec()))
                .unwrap()
                .describe(),
            "flag@string:2/d"
        );
        let source = ConfigSource {
            dbname: Some("postgres://x@y/z".to_owned()),
            ..ConfigSource::default()
        };
        assert_eq!(
            Config::resolve(&source, &Env(env.to_vec()))
                .unwrap()
                .describe(),
            "x@y:1/z"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (conninfo, part) in [
            ("port=x", "port"),
            ("port=0", "port"),
            ("port=65536", "port"),
            ("host=a,b port=1,2,3", "3 port numbers to 2 hosts"),
            ("host=a,b hostaddr=::1", "2 host names to 1 hostaddr"),
            ("hostaddr=localhost", "hostaddr"),
            ("sslmode=on", "sslmode"),
            ("channel_binding=yes", "channel_binding"),
            ("target_session_attrs=master", "target_session_attrs"),
            ("connect_timeout=1s", "connect_timeout"),
            ("load_balance_hosts=round-robin", "load_balance_hosts"),
            ("require_auth=scram", "require_auth"),
            ("require_auth=md5,!password", "require_auth"),
            ("sslnegotiation=direct", "sslnegotiation"),
            ("sslrootcert=system sslmode=require", "sslrootcert=system"),
            (
                "ssl_max_protocol_version=TLSv1.1",
                "ssl_max_protocol_version",
            ),
            ("ssl_min_protocol_version=2", "ssl_min_protocol_version"),
            (
                "ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2",
                "ssl_max_protocol_version",
            ),
            ("gssencmode=require", "gssencmode"),
            ("sslcrl=x", "sslcrl"),
        ] {
            let error = resolve(conninfo).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{conninfo}");
            assert!(error.message().contains(part), "{conninfo}: {error}");
        }
        let error = resolve_in("", &[("PGSSLCRL", "x")]).unwrap_err();
        assert!(error.message().contains("PGSSLCRL"), "{error}");
    }

    #[test]
    fn tls_settings() {
        assert_eq!(
            resolve("sslrootcert=system").unwrap().tls.mode,
            SslMode::VerifyFull
        );
        assert_eq!(
            resolve_in("", &[("PGREQUIRESSL", "1")]).unwrap().tls.mode,
            SslMode::Require
        );
        assert_eq!(
            resolve_in("sslmode=disable", &[("PGREQUIRESSL", "1")])
                .unwrap()
                .tls
                .mode,
            SslMode::Disable
        );
        let config = resolve_in("", &[("HOME", "/home/me")]).unwrap();
        assert_eq!(
            config.tls.root,
            RootCertificates::File("/home/me/.postgresql/root.crt".into())
        );
        assert_eq!(
            config.tls.certificate,
            Some("/home/me/.postgresql/postgresql.crt".into())
        );
        let config = resolve_in("sslcertmode=disable", &[("HOME", "/home/me")]).unwrap();
        assert_eq!(config.tls.certificate, None);
        assert_eq!(resolve("").unwrap().tls.root, RootCertificates::Nowhere);
    }

    #[test]
    fn a_variable_that_is_no_text_is_not_passed_over() {
        for variable in ["PGPASSWORD", "PGSERVICE", "PGHOST"] {
            let error = resolve_in("", &[(variable, BYTES)]).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.message().contains(variable), "{error}");
        }
        // What stands elsewhere is heavier, and what is none of ours is nobody's.
        resolve_in("host=h", &[("PGHOST", BYTES), ("LESS", BYTES)]).unwrap();
    }

    #[test]
    fn suffixes_only_for_our_own_name() {
        let name = |conninfo: &str| {
            resolve(conninfo)
                .unwrap()
                .with_application_name_suffix("dump 1")
                .application_name
        };
        assert_eq!(name(""), "pgstow dump 1");
        assert_eq!(name("application_name=x"), "x");
        assert_eq!(name("fallback_application_name=y"), "y");
    }
}

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::*;
use crate::connect::{ConfigSource, Environment};
use crate::error::Kind;
use crate::ops::DumpOptions;
use crate::repository::retention::Policy;

/// An environment that is nobody's.
#[derive(Default)]
struct Given(BTreeMap<String, String>);

impl Environment for Given {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn variables(&self) -> Vec<(String, String)> {
        self.0.clone().into_iter().collect()
    }

    fn user(&self) -> Option<String> {
        Some("me".to_owned())
    }

    fn home(&self) -> Option<PathBuf> {
        None
    }
}

fn environment(variables: &[(&str, &str)]) -> Given {
    let each = variables.iter();
    Given(
        each.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

struct Written {
    dir: tempfile::TempDir,
}

impl Written {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), text).unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(FILE_NAME)
    }

    fn config(&self, variables: &[(&str, &str)]) -> Config {
        Config::load(Some(&self.path()), &environment(variables)).unwrap()
    }

    /// All mistakes, each with its hint.
    fn mistakes(&self, variables: &[(&str, &str)]) -> Vec<String> {
        let read = Config::read(Some(&self.path()), &environment(variables));
        let (config, mistakes) = read.unwrap();
        let loaded = Config::load(Some(&self.path()), &environment(variables));
        assert_eq!(loaded.is_err(), !mistakes.is_empty());
        drop(config);
        let shown = |it: &crate::error::Error| {
            assert_eq!(it.kind(), Kind::Usage);
            format!("{} [{}]", it.message(), it.hint().unwrap_or_default())
        };
        mistakes.iter().map(shown).collect()
    }
}

fn value(job: &Job, key: &str) -> String {
    let found = job.effective().into_iter().find(|it| it.key == key);
    found.map_or("-".to_owned(), |it| format!("{} ({})", it.value, it.origin))
}

/// No file at all, as in a container.
fn nothing(variables: &[(&str, &str)]) -> Job {
    let config = Config::load(Some(Path::new("/dev/null")), &environment(variables));
    config.unwrap().job(None).unwrap()
}

#[test]
fn the_variables_of_an_old_set_up_are_enough() {
    let variables = [
        ("DATABASE_URL", "postgres://app:geheim@db.example/shop"),
        ("AWS_ACCESS_KEY_ID", "AKIA"),
        ("AWS_SECRET_ACCESS_KEY", "geheim"),
        ("AWS_BACKUP_BUCKET", "backups"),
        ("AWS_REGION", "auto"),
        ("AWS_S3_ENDPOINT", "https://x.r2.cloudflarestorage.com"),
        (
            "BACKUP_NOTIFICATION_EMAIL",
            "ops@example.com, dba@example.com",
        ),
        ("SMTP_HOST", "mail.example.com"),
        ("SMTP_PORT", "2525"),
        ("SMTP_USER", "app"),
        ("SMTP_PASSWORD", "geheim"),
        ("PGSTOW_PING_URL", "https://hc.example/geheim"),
    ];
    let job = nothing(&variables);
    assert_eq!(job.name(), "default");
    let database = job
        .database(&ConfigSource::default(), &environment(&[]))
        .unwrap();
    assert_eq!(database.describe(), "app@db.example:5432/shop");
    let location = job.location().unwrap();
    assert!(
        format!("{location:?}").contains("\"pgstow\""),
        "{location:?}"
    );
    let settings = format!("{:?}", job.store_settings().unwrap());
    assert!(settings.contains("AWS_SECRET_ACCESS_KEY"), "{settings}");
    let told = job.notification().unwrap();
    let mail = told.mail.unwrap();
    assert_eq!(mail.to, ["ops@example.com", "dba@example.com"]);
    assert_eq!(
        (mail.host.as_str(), mail.port),
        ("mail.example.com", Some(2525))
    );
    assert_eq!(mail.on.len(), 2);
    assert!(told.ping.is_some());
    assert!(job.mistakes().is_empty(), "{:?}", job.mistakes());
    assert!(!format!("{:?}{job:?}", job.effective()).contains("geheim"));
    for (bucket, key) in [
        ("b/deep/er", "deep/er"),
        ("s3://b/x", "x"),
        ("gs://b/y", "y"),
    ] {
        let job = nothing(&[("AWS_BACKUP_BUCKET", bucket)]);
        let location = format!("{:?}", job.location().unwrap());
        assert!(location.contains(&format!("{key:?}")), "{location}");
    }
    assert!(
        nothing(&[])
            .location()
            .unwrap_err()
            .hint()
            .unwrap()
            .contains("AWS_BACKUP_BUCKET")
    );
}

#[test]
fn unknown_keys_name_their_line_and_the_right_one() {
    let file = Written::new(
        "default_jop = \"a\"\n[store]\nlocaton = \"s3://b\"\n\n[databse]\nurl = \"x\"\n\
         [jobs.a]\ntype = \"daily\"\n[jobs.a.retention]\ndaily = 3\npasword = 1\n\
         [database]\npassword_fil = \"x\"\ncolour = \"red\"\n[notification.webhook.chat]\nurll = \"x\"\n",
    );
    let mistakes = file.mistakes(&[]);
    let expected = [
        (
            "line 1: unknown key \"default_jop\" at the top",
            "default_job",
        ),
        ("line 3: unknown key \"locaton\" in [store]", "\"location\""),
        ("line 5: unknown key \"databse\" at the top", "\"database\""),
        (
            "line 8: unknown key \"type\" in [jobs.a]",
            "belongs in [jobs.a.backup]",
        ),
        (
            "line 10: unknown key \"daily\" in [jobs.a.retention]",
            "\"daily_",
        ),
        (
            "line 11: unknown key \"pasword\" in [jobs.a.retention]",
            "known are",
        ),
        (
            "line 13: unknown key \"password_fil\" in [database]",
            "\"password_file\"",
        ),
        ("line 14: unknown key \"colour\" in [database]", "known are"),
        (
            "line 16: unknown key \"urll\" in [notification.webhook.chat]",
            "\"url\"",
        ),
    ];
    for (what, hint) in expected {
        assert!(
            mistakes
                .iter()
                .any(|it| it.contains(what) && it.contains(hint)),
            "{what}: {hint}\n{mistakes:#?}"
        );
    }
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    let error = Config::load(Some(&file.path()), &environment(&[])).unwrap_err();
    assert!(error.hint().unwrap().contains("8 more"), "{error:?}");
}

#[test]
fn values_that_do_not_fit_name_their_line_and_no_secret() {
    let file = Written::new(
        "[store]\nlocation = \"http://x\"\nsecret_access_key = 4711\n[dump]\ncompress = \"zip\"\njobs = 0\n\
         globals = \"yes\"\nschema = 3\n[retention]\ntime_zone = \"Mars/Base\"\ndaily_days = -1\n\
         [encryption]\nencrypt_to = [\"age1x\"]\npassphrase = \"geheim\"\npassphrase_file = \"f\"\n\
         [checks]\nmax_age = \"1 day\"\n[backup]\ntype = \"hourly\"\n[notification.mail]\non = [\"always\"]\ntls = \"ssl\"\n",
    );
    let variables = [
        ("PGSTOW_DUMP_MEMORY", "lots"),
        ("AWS_ENDPOINT_URL", "u:geheim@"),
        ("PGSTOW_STORE_AZURE_ENDPOINT", "blob.example"),
        ("AZURE_STORAGE_ENDPOINT", ""),
    ];
    let mistakes = file.mistakes(&variables).join("\n");
    for expected in [
        "line 2: store.location: http://",
        "line 3: store.secret_access_key: expected",
        "line 5: dump.compress",
        "line 6: dump.jobs: expected a whole number from 1 to 1000",
        "line 7: dump.globals: expected true or false",
        "line 8: dump.schema: expected a list",
        "line 10: retention.time_zone: there is no time zone \"Mars/Base\"",
        "line 11: retention.daily_days",
        "line 13: encryption.encrypt_to",
        "line 15: encryption.passphrase: it is said a second time, after line 14",
        "line 17: checks.max_age: malformed time",
        "line 19: backup.type",
        "line 21: notification.mail.on: unknown value \"always\"",
        "[it takes starttls, tls, none]",
        "PGSTOW_DUMP_MEMORY: malformed size",
        "AWS_ENDPOINT_URL: the endpoint is no URL: ",
        "PGSTOW_STORE_AZURE_ENDPOINT: the endpoint does not begin with https://",
    ] {
        assert!(mistakes.contains(expected), "{expected}\n{mistakes}");
    }
    assert!(
        !mistakes.contains("geheim") && !mistakes.contains("4711"),
        "{mistakes}"
    );
    let broken = Written::new("[database]\npassword = \"geheim\nurl = \"x\"\n");
    let mistakes = broken.mistakes(&[]).join("\n");
    assert!(mistakes.contains("line 2: not TOML"), "{mistakes}");
    assert!(!mistakes.contains("geheim"), "{mistakes}");
}

#[test]
fn the_heavier_source_wins() {
    let text =
        "[store]\nregion = \"common\"\n[jobs.a.store]\nregion = \"own\"\n[jobs.b.dump]\njobs = 3\n";
    let file = Written::new(text);
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let steps: &[(Variables<'_>, &str, &str)] = &[
        (&[], "\"own\" (line 4)", "\"common\" (line 2)"),
        (
            &[("AWS_REGION", "s")],
            "\"own\" (line 4)",
            "\"s\" (AWS_REGION)",
        ),
        (
            &[("AWS_REGION", "s"), ("PGSTOW_STORE_REGION", "all")],
            "\"all\" (PGSTOW_STORE_REGION)",
            "\"all\" (PGSTOW_STORE_REGION)",
        ),
        (
            &[
                ("PGSTOW_STORE_REGION", "all"),
                ("PGSTOW_JOB_A_STORE_REGION", "one"),
            ],
            "\"one\" (PGSTOW_JOB_A_STORE_REGION)",
            "\"all\" (PGSTOW_STORE_REGION)",
        ),
    ];
    for (variables, of_a, of_b) in steps {
        let config = file.config(variables);
        assert_eq!(
            value(&config.job(Some("a")).unwrap(), "store.region"),
            *of_a
        );
        assert_eq!(
            value(&config.job(Some("b")).unwrap(), "store.region"),
            *of_b
        );
    }
    let mut job = file
        .config(&[("PGSTOW_JOB_A_STORE_REGION", "one")])
        .job(Some("a"))
        .unwrap();
    job.set("store.region", "typed").unwrap();
    assert_eq!(value(&job, "store.region"), "\"typed\" (command line)");
    assert_eq!(value(&job, "backup.type"), "\"manual\" (default)");
    for (key, text) in [
        ("store.regoin", "x"),
        ("dump.jobs", "none"),
        ("region", "x"),
    ] {
        assert_eq!(job.set(key, text).unwrap_err().kind(), Kind::Usage);
    }
}

#[test]
fn a_job_is_named_or_the_only_one() {
    let file = Written::new("[jobs.shop-1.dump]\njobs = 1\n[jobs.web]\n");
    let config = file.config(&[]);
    assert_eq!(config.jobs(), ["shop-1", "web"]);
    assert!(
        config
            .job(None)
            .unwrap_err()
            .message()
            .contains("shop-1, web")
    );
    let error = config.job(Some("shop1")).unwrap_err();
    assert!(error.hint().unwrap().contains("shop-1"), "{error:?}");
    let config = file.config(&[("PGSTOW_JOB", "web"), ("PGSTOW_JOB_SHOP_1_DUMP_JOBS", "9")]);
    assert_eq!(config.job(None).unwrap().name(), "web");
    let shop = config.job(Some("shop-1")).unwrap();
    assert_eq!(shop.dump_options().unwrap().jobs, 9);
    let file = Written::new("default_job = \"b\"\n[jobs.a]\n[jobs.b]\n");
    assert_eq!(file.config(&[]).job(None).unwrap().name(), "b");
    let twins = Written::new("[jobs.a-b]\n[jobs.a_b]\n[jobs.\"c d\"]\n")
        .mistakes(&[])
        .join("\n");
    assert!(
        twins.contains("PGSTOW_JOB_A_B_") && twins.contains("\"c d\" is no name"),
        "{twins}"
    );
}

#[test]
fn secrets_come_from_anywhere_and_are_shown_nowhere() {
    let file = Written::new(
        "[database]\nurl = \"postgres://app@h/d\"\npassword_file = \"password\"\n\
         [store]\nlocation = \"backups\"\nsecret_access_key_command = \"echo geheim\"\naccess_key_id = \"K\"\n\
         [encryption]\npassphrase = { env = \"X\" }\n[notification.webhook.chat]\nurl = \"https://h/geheim\"\n\
         headers = { Authorization = { file = \"token\" }, X-Key = \"geheim\" }\n",
    );
    let config = file.config(&[
        ("AWS_SESSION_TOKEN", "other's"),
        ("PGSTOW_NOTIFICATION_WEBHOOK_CHAT_FORM", "slack"),
    ]);
    let job = config.job(None).unwrap();
    let shown = format!("{:?} {job:?} {config:?}", job.effective());
    assert!(!shown.contains("geheim"), "{shown}");
    let password = file.dir.path().join("password");
    assert!(value(&job, "database.password").contains(&password.display().to_string()));
    assert_eq!(
        value(&job, "store.secret_access_key"),
        "(from a command) (line 6)"
    );
    assert!(
        config.warnings().iter().any(|it| it.contains("chmod 600")),
        "{:?}",
        config.warnings()
    );
    let missing: Vec<String> = job
        .mistakes()
        .iter()
        .map(|it| it.message().to_owned())
        .collect();
    assert!(
        missing
            .iter()
            .any(|it| it.starts_with("database.password: ")),
        "{missing:?}"
    );
    std::fs::write(&password, "geheim\n").unwrap();
    job.database(&ConfigSource::default(), &environment(&[]))
        .unwrap();
    let settings = format!("{:?}", job.store_settings().unwrap());
    assert!(
        settings.contains("AWS_SECRET_ACCESS_KEY") && !settings.contains("geheim"),
        "{settings}"
    );
    let webhooks = job.notification().unwrap().webhook;
    assert_eq!(webhooks["chat"].headers.len(), 2);
    assert_eq!(webhooks["chat"].form, crate::notify::Form::Slack);
    // A path of the file begins where the file is.
    let location = format!("{:?}", job.location().unwrap());
    assert!(location.contains(&file.dir.path().join("backups").display().to_string()));
    let both = [
        ("PGSTOW_DATABASE_PASSWORD", "a"),
        ("PGSTOW_DATABASE_PASSWORD_FILE", "b"),
    ];
    assert!(
        file.mistakes(&both)
            .join("")
            .contains("both PGSTOW_DATABASE_PASSWORD and")
    );
}

#[test]
fn who_cannot_be_told_is_a_mistake() {
    let job = nothing(&[
        ("PGSTOW_STORE_LOCATION", "/backups"),
        ("BACKUP_NOTIFICATION_EMAIL", "ops-at-example"),
        ("PGSTOW_PING_URL", "hc.example/geheim"),
        ("PGSTOW_NOTIFICATION_WEBHOOK_CHAT_URL", "ftp://h/geheim"),
    ]);
    let found = job.mistakes();
    let mistakes: Vec<&str> = found.iter().map(|it| it.message()).collect();
    let expected = [
        "notification by mail: to = \"ops-at-example\" is no address: ",
        "webhook chat: the URL begins neither with https:// ",
        "ping: the URL is none: ",
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:?}");
    for (mistake, beginning) in mistakes.iter().zip(expected) {
        assert!(mistake.starts_with(beginning), "{mistake}");
        assert!(!mistake.contains("geheim"), "{mistake}");
    }
}

#[test]
fn a_variable_that_is_no_text_is_a_mistake() {
    struct Broken;
    impl Environment for Broken {
        fn get(&self, _: &str) -> Option<String> {
            None
        }
        fn not_text(&self) -> Vec<String> {
            ["PGSTOW_PASSPHRASE", "SMTP_PASSWORD", "LESS"]
                .map(str::to_owned)
                .into()
        }
    }
    let (_, mistakes) = Config::read(Some(Path::new("/dev/null")), &Broken).unwrap();
    let names: Vec<&str> = mistakes
        .iter()
        .filter_map(|it| it.message().split(' ').nth(2))
        .collect();
    assert_eq!(names, ["PGSTOW_PASSPHRASE", "SMTP_PASSWORD"]);
}

#[test]
fn a_database_without_a_password_is_no_secret() {
    for (url, is_told) in [
        ("shop", false),
        ("postgres://u@h/d", false),
        ("postgres://u:p@h/d", true),
    ] {
        let file = Written::new(&format!("[database]\nurl = \"{url}\"\n"));
        let config = file.config(&[]);
        let told = config.warnings().iter().any(|it| it.contains("chmod 600"));
        assert_eq!(told, is_told, "{url}");
    }
}

#[test]
fn a_passphrase_for_reading_alone_encrypts_nothing() {
    let job = nothing(&[("PGSTOW_PASSPHRASE", "geheim")]);
    assert!(job.recipients().unwrap().is_none());
    assert!(job.keys().unwrap().passphrase.is_some());
    let wanted = [
        ("PGSTOW_PASSPHRASE", "geheim"),
        ("PGSTOW_ENCRYPTION_ENCRYPT_PASSPHRASE", "yes"),
    ];
    assert!(nothing(&wanted).recipients().unwrap().is_some());
    let own = nothing(&[("PGSTOW_ENCRYPTION_PASSPHRASE", "geheim")]);
    assert!(own.recipients().unwrap().is_some());
    let empty = nothing(&[("PGSTOW_ENCRYPTION_ENCRYPT_PASSPHRASE", "1")]);
    assert_eq!(empty.recipients().unwrap_err().kind(), Kind::Usage);
}

#[test]
fn what_nobody_says_is_what_the_library_does() {
    let job = nothing(&[]);
    assert_eq!(job.retention().unwrap(), Policy::default());
    let (ours, library) = (job.dump_options().unwrap(), DumpOptions::default());
    assert_eq!(format!("{ours:?}"), format!("{library:?}"));
    let told = job.notification().unwrap();
    assert_eq!(told, crate::notify::Settings::default());
    let mail = nothing(&[("BACKUP_NOTIFICATION_EMAIL", "a@b.example")])
        .notification()
        .unwrap()
        .mail
        .unwrap();
    let library = crate::notify::Mail {
        to: mail.to.clone(),
        ..Default::default()
    };
    assert_eq!(mail, library);
    let checks = job.checks().unwrap();
    assert_eq!(checks.max_age.unwrap().as_secs(), 26 * 3600);
    assert_eq!(checks.size_anomaly, Some(50));
    let never = nothing(&[
        ("PGSTOW_CHECKS_MAX_AGE", "off"),
        ("PGSTOW_CHECKS_SIZE_ANOMALY", "0"),
    ]);
    assert_eq!(
        never.checks().unwrap(),
        Checks {
            max_age: None,
            size_anomaly: None
        }
    );
}

#[test]
fn the_rarer_switches_of_a_dump_reach_the_library() {
    let options = nothing(&[
        ("PGSTOW_DUMP_TABLE_AND_CHILDREN", "measurements"),
        ("PGSTOW_DUMP_EXCLUDE_TABLE_AND_CHILDREN", "logs, traces"),
        ("PGSTOW_DUMP_EXCLUDE_TABLE_DATA_AND_CHILDREN", "sessions"),
        ("PGSTOW_DUMP_TABLE_ACCESS_METHOD", "no"),
        ("PGSTOW_DUMP_TOAST_COMPRESSION", "no"),
        ("PGSTOW_DUMP_QUOTE_ALL_IDENTIFIERS", "yes"),
    ])
    .dump_options()
    .unwrap();
    let selection = &options.selection;
    assert_eq!(selection.tables_and_children, ["measurements"]);
    assert_eq!(selection.exclude_tables_and_children, ["logs", "traces"]);
    assert_eq!(selection.exclude_table_data_and_children, ["sessions"]);
    assert!(options.leave_out.table_access_methods && options.leave_out.toast_compression);
    assert_eq!(options.quoting, crate::sql::Quoting::Always);
}

#[test]
fn a_variable_that_means_nothing_is_told() {
    let job = [
        ("PGSTOW_STORE_LOCATON", "x"),
        ("PGSTOW_STORE_REGION", "x"),
        ("PGSTOW_SERVERS", "x"),
    ];
    let config = Config::load(Some(Path::new("/dev/null")), &environment(&job)).unwrap();
    let warnings = config.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("did you mean PGSTOW_STORE_LOCATION?"),
        "{warnings:?}"
    );
}

#[test]
fn the_file_of_init_says_what_it_was_told_and_nothing_else() {
    let text = template(&[
        ("store.location", "s3://b/\"p\""),
        ("encryption.encrypt_to", ""),
        ("database.url", "host=x"),
    ]);
    let text = text.replace("encrypt_to = [\"\"]", "encrypt_to = []");
    let file = Written::new(&text);
    let job = file.config(&[]).job(None).unwrap();
    let said: Vec<String> = job
        .effective()
        .into_iter()
        .filter(|it| it.origin != Origin::Default)
        .map(|it| it.key)
        .collect();
    assert_eq!(
        said,
        ["database.url", "store.location", "encryption.encrypt_to"]
    );
    // Every line that is commented out is one that could stand there.
    let open: String = text
        .lines()
        .map(|line| {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let is_key = bare.split(" = ").next().is_some_and(|it| !it.contains(' '));
            if bare.contains(" = ") && is_key || bare.starts_with('[') {
                bare
            } else {
                line
            }
        })
        .map(|line| format!("{line}\n"))
        .collect();
    for mistake in Written::new(&open).mistakes(&[]) {
        assert!(
            !mistake.contains("unknown key") && !mistake.contains("TOML"),
            "{mistake}"
        );
    }
    for key in known_keys() {
        assert!(open.contains(&format!("\n{} = ", key.name)), "{}", key.name);
    }
}

#[test]
fn every_default_is_well_formed() {
    for key in keys::KEYS {
        if !key.default.is_empty() {
            value::Value::of_text(key.form, key.default).unwrap();
        }
    }
}

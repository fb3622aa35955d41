//! The configuration from outside: `config check`, `init`, and the pages and examples that speak of it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{pgstow, run};
use pgstow::config::known_keys;
use saphyr::{LoadableYamlNode as _, Yaml};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(name)).unwrap()
}

/// The program in a directory of its own, with nothing of the caller's configuration.
fn in_directory(directory: &Path) -> Command {
    let mut command = pgstow();
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let shared = [
            "AWS_",
            "SMTP_",
            "AZURE_",
            "GOOGLE_",
            "PGSTOW_",
            "DATABASE_URL",
            "BACKUP_",
        ];
        if shared.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    command
        .current_dir(directory)
        .env("HOME", directory)
        .env_remove("XDG_CONFIG_HOME");
    command
}

#[test]
fn the_page_has_every_key_as_it_is() {
    let page = page("configuration.md");
    let mut section = String::new();
    let mut found = BTreeSet::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            section = heading.trim_matches(['[', ']']).replace("NAME", "*");
            if section == "At the top" {
                section.clear();
            }
        }
        if line.starts_with("| `") {
            assert!(
                found.insert((section.clone(), line.to_owned())),
                "twice: {line}"
            );
        }
    }
    let expected: BTreeSet<(String, String)> = known_keys()
        .into_iter()
        .map(|key| {
            let (name, mut takes) = (key.name, key.takes.to_owned());
            let mut names = format!("`{name}`");
            if key.is_secret {
                names.push_str(&format!(", `{name}_file`, `{name}_command`"));
                takes.push_str("; secret");
            }
            let default = match key.default {
                "" => String::new(),
                default => format!("`{default}`"),
            };
            let mut variables = format!("`{}`", key.variable.replace('*', "NAME"));
            for shared in key.shared {
                variables.push_str(&format!("; `{shared}`"));
            }
            let about = key.about;
            let row = format!("| {names} | {takes} | {default} | {variables} | {about} |");
            (key.section.to_owned(), row)
        })
        .collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let strange: Vec<_> = found.difference(&expected).collect();
    assert!(
        missing.is_empty() && strange.is_empty(),
        "missing {missing:#?}\nstrange {strange:#?}"
    );
}

#[test]
fn the_file_in_the_page_is_one() {
    let page = page("configuration.md");
    let file = page
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgstow.toml");
    std::fs::write(&path, file).unwrap();
    let output = run(in_directory(directory.path()).args(["config", "check", "--json"]));
    let all: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    // The files of secrets that it names are not here.
    for mistake in all["mistakes"].as_array().unwrap() {
        let text = mistake["error"].as_str().unwrap();
        assert!(text.ends_with("no such file or directory"), "{text}");
    }
    let names: Vec<_> = all["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["shop", "web"]);
}

#[test]
fn check_names_all_mistakes_and_shows_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pgstow.toml");
    std::fs::write(
        &file,
        "[database]\nurl = \"postgres://app:geheim@h/d\"\n[store]\nlocation = \"backups\"\nregio = \"x\"\n\
         secret_access_key = \"geheim\"\n[dump]\ncompress = \"zip\"\n",
    )
    .unwrap();
    let check = || {
        let mut command = in_directory(directory.path());
        command
            .args(["config", "check"])
            .env("AWS_SESSION_TOKEN", "geheim");
        command
    };
    let output = run(&mut check()).expect_code(2);
    let said = format!("{}{}", output.stdout, output.stderr);
    for expected in [
        "pgstow.toml: line 5: unknown key \"regio\" in [store]",
        "did you mean \"region\"?",
        "line 8: dump.compress",
        "warning:",
        "mistakes in the configuration: 2",
        "database.url",
        "(hidden)  # line 2",
        "# default",
        "# AWS_SESSION_TOKEN",
    ] {
        assert!(said.contains(expected), "{expected}\n{said}");
    }
    assert!(!said.contains("geheim"), "{said}");
    let json = run(check().arg("--json")).expect_code(2);
    assert!(!json.stdout.contains("geheim"));
    let all: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(all["mistakes"].as_array().unwrap().len(), 2);
    // Set right by the environment and the file.
    let text = std::fs::read_to_string(&file)
        .unwrap()
        .replace("regio =", "region =");
    std::fs::write(&file, text.replace("\"zip\"", "\"lz4\"")).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let output = run(&mut check()).success();
    assert!(output.stderr.is_empty(), "{}", output.stderr);
    // What is somebody else's is not obeyed unless it is named.
    std::fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    let output = run(&mut check()).expect_code(6);
    assert!(
        output.stderr.contains("can be written by everybody"),
        "{}",
        output.stderr
    );
    run(check().arg("--config").arg(&file)).success();
    let nowhere =
        run(in_directory(directory.path()).args(["config", "check", "--config", "none.toml"]));
    assert!(nowhere.expect_code(2).stderr.contains("none.toml"));
}

#[test]
fn init_writes_a_file_once_and_makes_the_repository() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    std::fs::create_dir(&store).unwrap();
    let init = || {
        let mut command = in_directory(directory.path());
        command.args([
            "init",
            "--store",
            "store",
            "-d",
            "postgres://app:geheim@h/d",
        ]);
        command
    };
    let output = run(&mut init()).success();
    assert!(!format!("{}{}", output.stdout, output.stderr).contains("geheim"));
    assert!(output.stderr.contains("pgstow backup"), "{}", output.stderr);
    let file = directory.path().join("pgstow.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let made: Vec<PathBuf> = std::fs::read_dir(&store)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert!(!made.is_empty());
    let before = std::fs::read_to_string(&file).unwrap();
    let again = run(&mut init()).expect_code(6);
    assert!(
        again.stderr.contains("is there already"),
        "{}",
        again.stderr
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    let checked = run(in_directory(directory.path()).args(["config", "check"])).success();
    let place = store.canonicalize().unwrap();
    let shown = format!("{}", place.display());
    assert!(
        checked.stdout.contains(&shown) || checked.stdout.contains("store\""),
        "{}",
        checked.stdout
    );
    // A repository that is there is taken as it is; without a place nothing is written.
    run(init().args(["--config", "other.toml"])).success();
    let output = run(in_directory(directory.path()).args(["init", "--config", "third.toml"]));
    assert!(
        output
            .expect_code(2)
            .stderr
            .contains("no place for backups")
    );
    assert!(!directory.path().join("third.toml").exists());
}

#[test]
fn the_page_and_the_help_name_the_same_options() {
    let page = page("cli.md");
    let options = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
        words
            .filter_map(|word| word.strip_prefix("--"))
            .filter(|it| !it.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let said = ["verbose", "quiet", "json", "help", "version"];
    for (heading, command, shared) in [
        ("init", &["init"][..], &said[..]),
        (
            "config check",
            &["config", "check"],
            &["json", "help", "version"],
        ),
    ] {
        let section = page
            .split("\n## ")
            .find(|it| it.starts_with(&format!("{heading}\n")));
        let section = section.unwrap_or_else(|| panic!("no section {heading}"));
        let mut documented: BTreeSet<String> = section
            .lines()
            .filter(|line| line.starts_with("| `-"))
            .flat_map(|line| options(line.split(" | ").next().unwrap()))
            .collect();
        documented.extend(shared.iter().map(|it| (*it).to_owned()));
        let help = run(pgstow().args(command).arg("--help")).success().stdout;
        let mut listed: BTreeSet<String> = help
            .lines()
            .filter(|line| line.trim_start().starts_with('-'))
            .flat_map(|line| options(line.trim_start().split("  ").next().unwrap()))
            .collect();
        let aliases = help.split("[alias:").skip(1);
        listed.extend(aliases.flat_map(|text| options(text.split(']').next().unwrap())));
        assert_eq!(documented, listed, "{heading}");
    }
}

// ---- Examples ----

fn example(name: &str) -> String {
    page(&format!("examples/{name}"))
}

fn yaml(name: &str) -> Vec<Yaml<'static>> {
    let text: &'static str = Box::leak(example(name).into_boxed_str());
    let documents = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(documents.len(), 1, "{name}");
    documents
}

/// The value at a path of keys and numbers.
fn at<'a>(mut node: &'a Yaml<'static>, path: &str) -> &'a Yaml<'static> {
    for step in path.split('/') {
        node = match step.parse::<usize>() {
            Ok(number) => &node
                .as_vec()
                .unwrap_or_else(|| panic!("{path}: no list at {step}"))[number],
            Err(_) => node
                .as_mapping_get(step)
                .unwrap_or_else(|| panic!("{path}: no {step}")),
        };
    }
    node
}

/// Whether the program knows a command with all its options.
fn is_known(words: &[&str]) {
    let output = run(pgstow().args(words).arg("--help"));
    assert_eq!(output.code, Some(0), "{words:?}: {}", output.stderr);
}

/// Every command of pgstow in a text, by its words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let words: Vec<&str> = line.split_whitespace().collect();
        let starts = words.iter().enumerate().filter(|(at, word)| {
            let is_program = word.rsplit(['/', '=']).next() == Some("pgstow");
            // In a crontab the user has that name, too.
            is_program
                && words
                    .get(at + 1)
                    .is_some_and(|next| ["backup", "prune", "verify", "doctor"].contains(next))
        });
        for (at, _) in starts {
            found.push(
                words[at + 1..]
                    .iter()
                    .map(|word| word.trim_matches('"').to_owned())
                    .collect(),
            );
        }
    }
    found
}

fn all_known(text: &str, expected: usize) {
    let found = commands(text);
    assert_eq!(found.len(), expected, "{found:?}");
    for words in found {
        is_known(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

#[test]
fn the_github_workflow_is_well_formed() {
    let text = example("github-workflow.yml");
    let documents = yaml("github-workflow.yml");
    let all = &documents[0];
    assert_eq!(at(all, "on/schedule/0/cron").as_str(), Some("0 3 * * *"));
    assert!(
        all.as_mapping_get("on")
            .unwrap()
            .as_mapping_get("workflow_dispatch")
            .is_some()
    );
    assert_eq!(
        at(all, "jobs/backup/timeout-minutes").as_integer(),
        Some(30)
    );
    let steps = at(all, "jobs/backup/steps").as_vec().unwrap();
    let mail = steps.last().unwrap();
    assert!(
        mail.as_mapping_get("if")
            .unwrap()
            .as_str()
            .unwrap()
            .contains("failure()")
    );
    assert!(
        mail.as_mapping_get("run")
            .unwrap()
            .as_str()
            .unwrap()
            .contains("smtp://")
    );
    for step in steps {
        let has = |key| step.as_mapping_get(key).is_some();
        assert!(has("name") && (has("run") != has("uses")));
    }
    // Every variable is one that means something to pgstow.
    let known = known_keys();
    let shared: BTreeSet<&str> = known
        .iter()
        .flat_map(|key| key.shared.iter().copied())
        .collect();
    for (name, _) in at(all, "jobs/backup/env").as_mapping().unwrap() {
        let name = name.as_str().unwrap();
        assert!(shared.contains(name) || name == "BACKUP_TYPE", "{name}");
    }
    all_known(&text.replace("run: ", ""), 2);
}

#[test]
fn the_kubernetes_cronjob_is_well_formed() {
    let documents = yaml("kubernetes-cronjob.yml");
    let all = &documents[0];
    assert_eq!(at(all, "apiVersion").as_str(), Some("batch/v1"));
    assert_eq!(at(all, "kind").as_str(), Some("CronJob"));
    assert_eq!(at(all, "spec/schedule").as_str(), Some("0 3 * * *"));
    assert_eq!(at(all, "spec/timeZone").as_str(), Some("Etc/UTC"));
    assert_eq!(at(all, "spec/concurrencyPolicy").as_str(), Some("Forbid"));
    let job = "spec/jobTemplate/spec";
    assert_eq!(
        at(all, &format!("{job}/activeDeadlineSeconds")).as_integer(),
        Some(1800)
    );
    let pod = format!("{job}/template/spec");
    assert_eq!(
        at(all, &format!("{pod}/restartPolicy")).as_str(),
        Some("Never")
    );
    for container in ["initContainers/0", "containers/0"] {
        let path = format!("{pod}/{container}");
        let args = at(all, &format!("{path}/args")).as_vec().unwrap();
        is_known(
            &args
                .iter()
                .map(|it| it.as_str().unwrap())
                .collect::<Vec<_>>(),
        );
        assert_eq!(
            at(all, &format!("{path}/envFrom/0/secretRef/name")).as_str(),
            Some("pgstow")
        );
        assert!(at(all, &format!("{path}/image")).as_str().is_some());
    }
}

/// Sections of a unit file, each with its keys and values.
fn unit(name: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in example(name).lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(heading) = line.strip_prefix('[') {
            section = heading.strip_suffix(']').unwrap().to_owned();
            continue;
        }
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("{name}: {line}"));
        assert!(
            !section.is_empty() && key.chars().all(char::is_alphanumeric),
            "{name}: {line}"
        );
        found.push((section.clone(), key.to_owned(), value.to_owned()));
    }
    found
}

#[test]
fn the_systemd_units_are_well_formed() {
    let has = |unit: &[(String, String, String)], section: &str, key: &str| {
        let mut found = unit.iter().filter(|it| it.0 == section && it.1 == key);
        found
            .next()
            .unwrap_or_else(|| panic!("no {key} in [{section}]"))
            .2
            .clone()
    };
    let service = unit("pgstow-backup@.service");
    assert_eq!(has(&service, "Service", "Type"), "oneshot");
    assert_eq!(has(&service, "Service", "TimeoutStartSec"), "30min");
    let variable = has(&service, "Service", "Environment");
    let key = variable.split("_FILE=").next().unwrap();
    assert!(
        known_keys()
            .iter()
            .any(|it| it.variable == key && it.is_secret),
        "{key}"
    );
    all_known(&example("pgstow-backup@.service"), 2);
    let timer = unit("pgstow-backup@.timer");
    assert_eq!(has(&timer, "Timer", "OnCalendar"), "*-*-* 03:00:00 UTC");
    assert_eq!(has(&timer, "Install", "WantedBy"), "timers.target");
    // Where systemd is, its own checker has the last word.
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_pgstow");
    for (from, to) in [
        ("pgstow-backup@.service", "pgstow-backup@shop.service"),
        ("pgstow-backup@.timer", "pgstow-backup@shop.timer"),
    ] {
        let text = example(from)
            .replace("/usr/local/bin/pgstow", program)
            .replace("User=pgstow\n", "");
        std::fs::write(directory.path().join(to), text).unwrap();
    }
    for unit in ["pgstow-backup@shop.service", "pgstow-backup@shop.timer"] {
        let path = directory.path().join(unit);
        let output = run(Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&path));
        let about_us: Vec<&str> = output
            .stderr
            .lines()
            .filter(|it| it.contains("pgstow-backup"))
            .collect();
        assert!(about_us.is_empty(), "{about_us:?}");
    }
}

#[test]
fn the_crontab_is_well_formed() {
    let text = example("crontab");
    let mut lines = 0;
    for line in text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        if let Some((name, _)) = line.split_once('=')
            && name.chars().all(|c| c.is_ascii_uppercase())
        {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        for (word, most) in words.iter().zip([59, 23, 31, 12, 7]) {
            let is_number = word.parse::<u32>().is_ok_and(|number| number <= most);
            assert!(*word == "*" || is_number, "{line}: {word}");
        }
        assert_eq!(words[5], "pgstow", "{line}");
        // A percent sign would be a line break.
        assert!(!line.contains('%'), "{line}");
        lines += 1;
    }
    assert_eq!(lines, 3);
    assert!(text.contains("\n0 3 * * * ") && text.ends_with('\n'));
    all_known(&text, 3);
}

#[test]
fn the_page_names_every_example() {
    let page = page("scheduling.md");
    for entry in std::fs::read_dir(root().join("docs/examples")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("(examples/{name})")), "{name}");
    }
}

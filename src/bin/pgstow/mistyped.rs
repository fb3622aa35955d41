//! What is wrong with the arguments themselves, told as every other error is.

use std::ffi::OsString;

/// `pgstow help [COMMAND]` is `pgstow [COMMAND] --help`.
pub fn with_help_first(mut typed: Vec<OsString>) -> Vec<OsString> {
    if typed.get(1).is_some_and(|first| first == "help") {
        typed.remove(1);
        typed.insert(typed.len().min(2), "--help".into());
    }
    typed
}

/// The lines of an error of the parser.
pub fn told(error: &clap::Error) -> Vec<String> {
    lines(&error.render().to_string())
}

fn lines(text: &str) -> Vec<String> {
    let mut told = Vec::new();
    let mut hints = Vec::new();
    let mut help = "pgstow --help".to_owned();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(error) = line.strip_prefix("error: ") {
            told.push(format!("pgstow: error: {error}"));
        } else if let Some(tip) = line.trim_start().strip_prefix("tip: ") {
            // What begins with a dash is a mistake here far more often than a value.
            if !tip.contains("as a value, use '-- ") {
                hints.push(format!("pgstow: hint: {tip}"));
            }
        } else if line.starts_with("For more information") {
            hints.push(format!("pgstow: hint: `{help}` shows the options"));
        } else {
            if let Some(usage) = line.strip_prefix("Usage: ") {
                let names = usage.split_whitespace();
                let is_name = |word: &&str| word.starts_with(|c: char| c.is_ascii_lowercase());
                let names: Vec<&str> = names.take_while(is_name).collect();
                help = format!("{} --help", names.join(" "));
            }
            told.push(line.to_owned());
        }
    }
    told.extend(hints);
    told
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Args;

    fn told_of(arguments: &[&str]) -> String {
        let typed = std::iter::once(&"pgstow").chain(arguments);
        told(&Args::try_parse_from(typed).unwrap_err()).join("\n")
    }

    #[test]
    fn every_line_of_an_error_is_ours() {
        for (arguments, words) in [
            (&[][..], "pgstow: hint: `pgstow --help` shows the options"),
            (&["frob"], "pgstow: error: unrecognized subcommand 'frob'"),
            (&["dump", "a", "b"], "pgstow: hint: `pgstow dump --help`"),
            (&["dump", "--file"], "pgstow: error: a value is required"),
            (&["verify"], "pgstow: hint: `pgstow verify --help`"),
            (
                &["dump", "--fil", "x"],
                "pgstow: hint: a similar argument exists: '--file'",
            ),
        ] {
            let told = told_of(arguments);
            assert!(told.contains(words), "{told}");
            assert!(told.starts_with("pgstow: error: "), "{told}");
            assert!(!told.contains("tip:") && !told.contains("'-- "), "{told}");
        }
        assert!(!told_of(&["dump", "-x9"]).contains("as a value"));
        Args::try_parse_from(["pgstow", "dump", "-j", "-1"]).unwrap();
    }

    #[test]
    fn help_is_asked_for_in_either_order() {
        let typed =
            |words: &[&str]| -> Vec<OsString> { words.iter().map(OsString::from).collect() };
        for (asked, meant) in [
            (&["pgstow", "help"][..], &["pgstow", "--help"][..]),
            (&["pgstow", "help", "dump"], &["pgstow", "dump", "--help"]),
            (&["pgstow", "dump", "help"], &["pgstow", "dump", "help"]),
            (&["pgstow"], &["pgstow"]),
        ] {
            assert_eq!(with_help_first(typed(asked)), typed(meant));
        }
    }
}

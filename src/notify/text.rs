//! Texts that others wrote, made fit for headers, lines and eyes that must not see secrets.

/// What helps where a certificate is not taken.
pub(super) const TRUST_HINT: &str = "ca_file names authorities to trust besides this machine's; the name in the certificate must be the host's";

/// One line without control characters, of so many characters at most.
pub(super) fn one_line(text: &str, longest: usize) -> String {
    // Marks that turn the direction of writing could make a text look like another one.
    let is_unfit = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let spaced = text.replace(is_unfit, " ");
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= longest {
        return line;
    }
    let mut cut: String = line.chars().take(longest.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Hides the password of every `scheme://user:password@host` in a text.
pub(super) fn without_passwords(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        shown.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        rest = match authority.rfind('@') {
            Some(at) => {
                let user = authority[..at].split(':').next().unwrap_or_default();
                shown.push_str(user);
                if user.len() < at {
                    shown.push_str(":(hidden)");
                }
                &after[at..]
            }
            None => after,
        };
    }
    shown.push_str(rest);
    shown
}

/// Hides these secrets wherever a text has them.
pub(super) fn without(text: &str, secrets: &[&str]) -> String {
    let mut shown = text.to_owned();
    // What is shorter hides nothing, and would make holes everywhere.
    for secret in secrets.iter().filter(|secret| secret.len() >= 3) {
        shown = shown.replace(secret, "(hidden)");
    }
    shown
}

/// The innermost reason of an error, on one line.
pub(super) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    one_line(&inner.to_string(), 300)
}

/// Whether the other side showed a certificate, or speaks a TLS, that is not taken: to try again changes nothing.
pub(super) fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let inside = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || inside.is_some_and(|it| it.is::<rustls::Error>()) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(
            one_line("shop\r\nBcc: all@example.org\n", 100),
            "shop Bcc: all@example.org"
        );
        assert_eq!(
            one_line("a\u{2028}b\u{202e}c\u{0}d\u{85}e", 100),
            "a b c d e"
        );
        assert_eq!(one_line("äöüß", 4), "äöüß");
        assert_eq!(one_line("äöüßx", 4), "äöü…");
    }

    #[test]
    fn passwords_of_urls_are_hidden() {
        let hidden = "connect to postgres://app:(hidden)@db/shop: refused";
        assert_eq!(
            without_passwords("connect to postgres://app:ge:he@im@db/shop: refused"),
            hidden
        );
        for same in ["s3://bucket/a@b:c", "a://b", "x :// y", "ftp://me@host/"] {
            assert_eq!(without_passwords(same), same);
        }
        assert_eq!(
            without_passwords("a://u:p@h b://:q@h"),
            "a://u:(hidden)@h b://:(hidden)@h"
        );
    }

    #[test]
    fn given_secrets_are_hidden() {
        assert_eq!(
            without("no geheim, geheim", &["geheim", "", "o"]),
            "no (hidden), (hidden)"
        );
    }
}

//! Whose grants: a privilege that somebody else gave is given again in his name.

use super::ident;

/// What stands after statements that were run as another role, in archives and scripts.
pub const RESET_ROLE: &str = "RESET ROLE";

/// The statement that makes a session its own again: with `role`, which it was set to at its
/// start, [`RESET_ROLE`] would undo that too.
pub fn back_to(role: Option<&str>) -> String {
    match role {
        Some(role) => format!("SET ROLE {}", ident(role)),
        None => RESET_ROLE.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_with_a_role_goes_back_to_it() {
        assert_eq!(back_to(None), RESET_ROLE);
        assert_eq!(back_to(Some("Ann")), "SET ROLE \"Ann\"");
    }
}

//! What balancers and other monitors are told, in their languages. Pure: knows no socket.
//!
//! | | `/livez` | `/readyz` | agent check |
//! |---|---|---|---|
//! | serves | 200 | 200 | `ready up 100%` |
//! | serves, and says that it [cannot](crate::Net::set_ready) | 200 | 503 | `ready down#not ready` |
//! | accepts, and is about to leave | 200 | 503 | `drain` |
//! | drains, and the service ends | 200 | 503 | `drain` |
//!
//! A process that drains because another one serves says what holds for the service, which goes on.
//!
//! The paths are those of Kubernetes' own components. The words are those of HAProxy (configuration manual, section 5.2,
//! "agent-check"): `drain` and `ready` set the administrative state, so that a server which comes back has to say `ready` or
//! would stay in the drain that it has asked for; `up` and `down` set the operational state. `maint` is not said: it
//! would end HAProxy's own health checks, and is for people to say there.

/// How the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Ready,
    NotReady,
    LameDuck,
    Draining,
}

impl Condition {
    /// For who reads it.
    pub fn text(self) -> &'static str {
        match self {
            Condition::Ready => "ok",
            Condition::NotReady => "not ready",
            Condition::LameDuck => "lame duck",
            Condition::Draining => "draining",
        }
    }

    /// The line of an agent check, with the share of its work that the service would like to have, in percent.
    pub fn agent_line(self, weight: u8) -> String {
        match self {
            Condition::Ready => format!("ready up {weight}%\n"),
            Condition::NotReady => format!("ready down#{}\n", self.text()),
            Condition::LameDuck | Condition::Draining => "drain\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_says_a_line_that_a_balancer_knows() {
        assert_eq!(Condition::Ready.agent_line(75), "ready up 75%\n");
        assert_eq!(Condition::NotReady.agent_line(75), "ready down#not ready\n");
        assert_eq!(Condition::LameDuck.agent_line(75), "drain\n");
        assert_eq!(Condition::Draining.agent_line(75), "drain\n");
    }
}

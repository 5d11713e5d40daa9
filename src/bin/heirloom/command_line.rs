//! The command line, described once: what is parsed, what `--help` says, what a shell completes and what the man pages have
//! all come from these types. What is wrong with one is said in `complaint`.

use std::{env, ffi::OsString, path::PathBuf, time::Duration};

use clap::{
    ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint,
    error::ErrorKind,
};

use crate::{complaint, exit, failure::Failure, trial};

/// Stands in for `--control`.
pub const CONTROL: &str = "HEIRLOOM_CONTROL";

/// A server whose loop turns answers within milliseconds, and stands still for no longer than connections
/// are frozen (2 s unless its author has said otherwise).
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a server how it is, restarts it, and ends it
///
/// A server that has a control socket is asked by it: what it is doing, to restart, to go back, to leave. All of its
/// generations are meant, whichever process has which number.
#[derive(Debug, Parser)]
#[command(
    name = "heirloom",
    version,
    args_override_self = true,
    arg_required_else_help = false,
    disable_help_flag = true,
    disable_help_subcommand = true,
    after_help = exit::table(),
    subcommand_value_name = "COMMAND"
)]
pub struct Line {
    #[command(flatten)]
    pub server: Server,

    /// Print help
    #[arg(short, long, global = true, action = ArgAction::HelpShort, display_order = 1000)]
    pub help: Option<bool>,

    #[command(subcommand)]
    pub command: Command,
}

/// Which server is asked, and how long for.
#[derive(Clone, Debug, Default, Args)]
pub struct Server {
    #[command(flatten)]
    pub at: At,

    /// How long the server may be silent (10); 0: for ever
    #[arg(long, value_name = "SECONDS", value_parser = time, allow_negative_numbers = true)]
    pub timeout: Option<Duration>,
}

#[derive(Clone, Debug, Default, Args)]
pub struct At {
    /// The server's control socket (@NAME is in no file system); HEIRLOOM_CONTROL stands in for it
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub control: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Every living generation; times in seconds
    ///
    /// Waits for the other generations' answers, half a second at most: one that does not answer is called silent.
    Status {
        #[command(flatten)]
        server: Server,
        /// One array, for programs
        #[arg(long)]
        json: bool,
    },

    /// What a restart by each engine would come to now; begins none
    ///
    /// It fails where a restart that names no engine would be refused.
    Check {
        #[command(flatten)]
        server: Server,
        /// One object, for programs
        #[arg(long)]
        json: bool,
    },

    /// Numbers of all generations, as a monitor reads them
    ///
    /// In the text format of OpenMetrics; of a server that has the feature "metrics".
    Metrics {
        #[command(flatten)]
        server: Server,
    },

    /// The last things that have happened to the whole service
    ///
    /// Starts, restarts with what has come of them and who has asked, roll backs, crashes: the last 384 of them.
    Log {
        #[command(flatten)]
        server: Server,
        /// One array, for programs; with --follow an object on each line
        #[arg(long)]
        json: bool,
        /// Go on with what comes
        #[arg(long)]
        follow: bool,
        /// How often it is looked what has come
        #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = time, allow_negative_numbers = true)]
        every: Duration,
    },

    /// The status, again and again
    Top {
        #[command(flatten)]
        server: Server,
        /// How often
        #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = time, allow_negative_numbers = true)]
        every: Duration,
        /// How many times; for ever, if nothing is said
        #[arg(long, value_name = "N", value_parser = number, allow_negative_numbers = true)]
        count: Option<u64>,
    },

    /// A restart as a signal would ask for it
    ///
    /// It is over when the new generation has committed, or when it is known why there is none. Without an engine it does
    /// what the first signal that asks for a restart does, with one what the first of that engine does.
    Restart {
        #[command(flatten)]
        server: Server,
        /// By fork
        #[arg(long, conflicts_with = "fork_exec")]
        fork: bool,
        /// By a new program
        #[arg(long)]
        fork_exec: bool,
        /// Established connections go along
        #[arg(long = "move")]
        moves: bool,
    },

    /// Undo the restart that is in its probation
    ///
    /// It is over when the old generation serves again, or cannot. What the new one has accepted goes back.
    Rollback {
        #[command(flatten)]
        server: Server,
    },

    /// Wait until a restart and the drain behind it are over
    ///
    /// That is so when one generation serves, all older ones have ended, and no restart is under way; of several workers,
    /// when it is so of each. Nothing is polled: the server says when. A generation that is replaced meanwhile is no end of
    /// it, nor is a crash, if a supervisor makes another one.
    Wait {
        #[command(flatten)]
        at: At,
        /// How long it may take; for ever, if nothing is said, or 0
        #[arg(long, value_name = "SECONDS", value_parser = time, allow_negative_numbers = true)]
        timeout: Option<Duration>,
        /// Only until this generation or a later one serves, and its probation is over
        #[arg(long, value_name = "N", value_parser = number, allow_negative_numbers = true)]
        generation: Option<u64>,
    },

    /// All generations stop accepting, serve what they have, and exit
    ///
    /// Who has come by then is let in. A server that has time as a lame duck accepts for that time before.
    Drain {
        #[command(flatten)]
        server: Server,
    },

    /// All generations abort what they have, and exit
    Stop {
        #[command(flatten)]
        server: Server,
    },

    /// What clients notice of a restart, of anybody's server
    ///
    /// A server is restarted again and again, while three sorts of clients ask at fixed times and compare every byte that
    /// comes back. It needs no control socket.
    Trial(Box<trial::Options>),

    /// What a shell needs to complete this command line
    ///
    /// For bash: heirloom completions bash > /usr/share/bash-completion/completions/heirloom
    Completions { shell: Shell },

    /// A page of the manual, for man -l -
    ///
    /// That of the program, or of one of its commands; or all of them, into a folder.
    Man {
        /// The page of this command
        #[arg(value_name = "COMMAND", conflicts_with = "folder")]
        page: Option<String>,
        /// All pages, into this folder
        #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Whom to ask.
#[derive(Debug)]
pub struct Reach {
    pub control: PathBuf,
    /// How long it may be silent; `None`: for ever.
    pub silence: Option<Duration>,
}

impl Server {
    /// As it is said behind the command, or else before it, or else by the environment.
    ///
    /// # Errors
    /// When it is not said which server.
    pub fn or(self, before: Server) -> Result<Reach, Failure> {
        let control = self.at.control.or(before.at.control);
        let control = control.or_else(|| env::var_os(CONTROL).map(PathBuf::from));
        let control = control.filter(|path| !path.as_os_str().is_empty());
        let control = control.ok_or("which server? Say --control PATH, or set HEIRLOOM_CONTROL")?;
        let silence = self.timeout.or(before.timeout).unwrap_or(PATIENCE);
        Ok(Reach { control, silence: limit(silence) })
    }

    /// For what asks no server, before which it would mean nothing.
    ///
    /// # Errors
    /// When it is said all the same.
    pub fn is_not_said(&self) -> Result<(), Failure> {
        match (&self.at.control, self.timeout) {
            (None, None) => Ok(()),
            _ => {
                Err("--control and --timeout go with what asks a server (see heirloom --help)"
                    .into())
            }
        }
    }
}

/// No time at all is no limit.
pub fn limit(time: Duration) -> Option<Duration> {
    Some(time).filter(|time| !time.is_zero())
}

/// What the words of a command line say.
#[derive(Debug)]
pub enum Said {
    /// What is to be done.
    Line(Line),
    /// Help or the version was asked for, and this is it.
    Help(String),
}

/// Reads them, the first of which is the program's name.
///
/// # Errors
/// One line: what is wrong, and what is right.
pub fn parse(words: &[OsString]) -> Result<Said, Failure> {
    let mut description = Line::command();
    let found = description.try_get_matches_from_mut(words);
    match found.and_then(|found| Line::from_arg_matches(&found)) {
        Ok(line) => Ok(Said::Line(line)),
        Err(e) if matches!(e.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Said::Help(e.render().to_string()))
        }
        Err(e) => Err(complaint::of(&e, &description, words).into()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{text} is no time"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_contradicts_itself_nowhere() {
        Line::command().debug_assert();
    }
}

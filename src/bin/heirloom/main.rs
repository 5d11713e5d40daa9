//! The operator's end of the control socket: asks, waits for the answer, and prints it. And a trial of anybody's
//! server, which needs none (`trial`).
//!
//! ```text
//! heirloom [--control PATH] [--timeout SECONDS] status [--json]
//! heirloom [--control PATH] [--timeout SECONDS] check [--json]
//! heirloom [--control PATH] [--timeout SECONDS] metrics
//! heirloom [--control PATH] [--timeout SECONDS] log [--json] [--follow]
//! heirloom [--control PATH] [--timeout SECONDS] restart [--fork | --fork-exec] [--move]
//! heirloom [--control PATH] [--timeout SECONDS] rollback | drain | stop
//! heirloom [--control PATH] [--timeout SECONDS] top [--every SECONDS] [--count N]
//! heirloom [--control PATH] wait [--timeout SECONDS] [--generation N]
//! heirloom trial --address ADDR ...
//! heirloom completions bash | zsh | fish
//! heirloom man [COMMAND | --folder PATH]
//! ```
//!
//! `command_line` describes it, and `manual` makes completions and man pages of that description; `exit` has the
//! exit statuses. The timeout is for silence: a server that waits for a restart says so now and then.

mod ask;
mod check;
mod command_line;
mod complaint;
mod exit;
mod failure;
mod finding;
mod log;
mod manual;
mod output;
mod requests;
mod show;
mod trial;
mod wait;

use std::{env, process::ExitCode};

use command_line::{Command, Line, Reach, Said, Server, limit};
use exit::Exit;
use failure::Failure;
use output::{complain, say};

fn main() -> ExitCode {
    let words: Vec<_> = env::args_os().collect();
    let done = command_line::parse(&words).and_then(|said| match said {
        Said::Line(line) => run(line),
        Said::Help(text) => Ok(say(&text).map(|()| Exit::Done)?),
    });
    let exit = done.unwrap_or_else(|failure| {
        complain(&failure.why);
        failure.exit()
    });
    exit.into()
}

fn run(Line { server: before, command, .. }: Line) -> Result<Exit, Failure> {
    match command {
        Command::Status { server, json } => requests::status(&server.or(before)?, json)?,
        Command::Check { server, json } => requests::check(&server.or(before)?, json)?,
        Command::Metrics { server } => requests::metrics(&server.or(before)?)?,
        Command::Log { server, json, follow, every } => {
            requests::log(&server.or(before)?, json, follow.then_some(every))?;
        }
        Command::Top { server, every, count } => requests::top(&server.or(before)?, every, count)?,
        Command::Restart { server, fork, fork_exec, moves } => {
            let flags = [(fork, " fork"), (fork_exec, " fork-exec"), (moves, " move")];
            let words = flags.into_iter().filter_map(|(is_set, word)| is_set.then_some(word));
            let request = words.fold("restart".to_owned(), |request, word| request + word);
            requests::tell(&server.or(before)?, &request)?;
        }
        Command::Rollback { server } => requests::tell(&server.or(before)?, "rollback")?,
        Command::Drain { server } => requests::tell(&server.or(before)?, "drain")?,
        Command::Stop { server } => requests::tell(&server.or(before)?, "stop")?,
        Command::Wait { at, timeout, generation } => {
            let Reach { control, silence } = Server { at, timeout: None }.or(before)?;
            let limit = timeout.and_then(limit);
            requests::show(&wait::wait(&control, silence, limit, generation)?)?;
        }
        Command::Trial(options) => {
            before.is_not_said()?;
            return Ok(trial::main(*options));
        }
        Command::Completions { shell } => {
            before.is_not_said()?;
            say(&manual::completions(shell))?;
        }
        Command::Man { page, folder } => {
            before.is_not_said()?;
            say(&match folder {
                Some(folder) => manual::pages(&folder)?,
                None => manual::page(page.as_deref())?,
            })?;
        }
    }
    Ok(Exit::Done)
}

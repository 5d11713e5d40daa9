//! The command line of `heirloom`, as it is described once: what is wrong with one is told in a line, each exit status is
//! what the table says, a shell completes it, and the manual has a page for each command.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Output},
    thread,
};

use crate::common::{
    Dir,
    ops::{Operated, Ran, heirloom},
    restart::{Engine, resume, stop},
    run_to_end,
};

/// Runs the program, as nobody has told it which server.
fn run(args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heirloom"));
    Ran::of(run_to_end(command.args(args).env_remove("HEIRLOOM_CONTROL")))
}

/// What it prints, and nothing is wrong.
fn said(args: &[&str]) -> String {
    let ran = run(args);
    assert_eq!((ran.status, &*ran.err), (Some(0), ""), "{args:?}");
    ran.out
}

/// The lines of `--help` under this title, without their indentation.
fn listed(title: &str) -> Vec<String> {
    let help = said(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != title).skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    lines.map(|line| line.trim_start().to_owned()).collect()
}

fn commands() -> Vec<String> {
    let words = |line: &String| line.split(' ').next().map(str::to_owned);
    listed("Commands:").iter().filter_map(words).collect()
}

/// The exit statuses, and when it is which.
fn statuses() -> BTreeMap<i32, String> {
    let row = |line: &String| {
        let (number, meaning) = line.split_once("  ").expect(line);
        (number.parse().expect("a number"), meaning.to_owned())
    };
    listed("Exit status:").iter().map(row).collect()
}

// The exit status.

/// Each is provoked, most of them in several ways.
#[test]
fn each_exit_status_of_the_table_is_what_it_says() {
    let lab = Operated::with(50, |setup| setup);
    let nobody = Dir::new().path("nobody").display().to_string();
    let nobody = ["--control", &nobody];
    let mut provoked = BTreeMap::new();
    let mut assert_status = |ran: Ran, status: i32| {
        assert_eq!(ran.status, Some(status), "{ran:?}");
        assert_eq!(ran.err.is_empty(), status == 0, "{ran:?}");
        *provoked.entry(status).or_insert(0) += 1;
    };
    for done in ["status", "check", "log", "wait"] {
        assert_status(lab.heirloom(&[done]), 0);
    }
    assert_status(lab.heirloom(&["restart", "--fork"]), 0);
    assert_status(lab.heirloom(&["rollback"]), 1); // there is nothing to roll back
    let trial = ["trial", "--address", "127.0.0.1:1", "--protocol", "line", "--restart", "true"];
    assert_status(run(&[&trial[..], &["--until", "1"]].concat()), 2);
    assert_status(run(&["--wrong"]), 2);
    assert_status(run(&["status"]), 2); // of which server?
    assert_status(run(&[&nobody[..], &["status"]].concat()), 2);
    assert_status(run(&[&nobody[..], &["wait"]].concat()), 4);

    let mut client = lab.connect();
    client.who();
    lab.restart_by(Engine::Fork);
    assert_status(lab.heirloom(&["wait", "--timeout", "0.1"]), 3);
    stop(lab.pid());
    assert_status(lab.heirloom(&["--timeout", "0.1", "status"]), 2);
    resume(lab.pid());
    drop(client);
    let threaded = Operated::with(50, |setup| setup.env("LAB_MAILBOX", 1));
    assert_status(threaded.heirloom(&["check"]), 1); // a fork would be refused
    assert_status(lab.heirloom(&["stop"]), 0);
    assert_status(lab.heirloom(&["wait"]), 4);
    assert_eq!(provoked.keys().collect::<Vec<_>>(), statuses().keys().collect::<Vec<_>>());
}

#[test]
fn the_table_is_the_same_in_help_in_the_manual_and_in_the_guide() {
    let statuses = statuses();
    assert_eq!(statuses.keys().copied().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let guide = fs::read_to_string("src/guide/operating.rs").expect("the guide");
    let manual = said(&["man"]).replace("\\-", "-");
    for (number, meaning) in statuses {
        let row = format!("//! | {number} | {meaning} |\n");
        assert!(guide.contains(&row), "the guide has no {row}");
        assert!(manual.contains(&format!("\\fB{number}\\fR\n{meaning}\n")), "{manual}");
    }
}

// What is wrong.

#[test]
fn what_is_wrong_is_one_line_that_says_what_is_right() {
    let dir = Dir::new();
    let nobody = dir.path("nobody").display().to_string();
    let all = format!("no command is given: {}", commands().join(", "));
    for (args, why) in [
        (&[][..], &*all),
        (&["dance"], "\"dance\" is no command"),
        (&["statu"], "\"statu\" is no command; is status meant?"),
        (&["status", "again"], "status: unexpected argument \"again\""),
        (&["--wrong"], "invalid option '--wrong'"),
        (&["status", "--jsn"], "status: invalid option '--jsn'; is --json meant?"),
        (&["status", "--fork"], "status: invalid option '--fork': it goes with restart"),
        (&["stop", "--move"], "stop: invalid option '--move': it goes with restart"),
        (&["--json", "status"], "status: invalid option '--json': it goes with status, check, log"),
        (
            &["restart", "--fork", "--fork-exec"],
            "restart: --fork and --fork-exec exclude each other",
        ),
        (&["status", "--control"], "status: --control: a value is missing"),
        (&["--timeout", "soon", "status"], "status: --timeout: \"soon\" is no number of seconds"),
        (&["status", "--timeout", "-1"], "status: --timeout: -1 is no time"),
        (&["wait", "--timeout", "1e300"], "wait: --timeout: 1e300 is no time"),
        (&["wait", "--generation", "-3"], "wait: --generation: \"-3\" is no number"),
        (&["top", "--count", "1.5"], "top: --count: \"1.5\" is no number"),
        (&["completions", "tcsh"], "completions: SHELL: \"tcsh\" is none of bash, zsh, fish"),
        (&["completions"], "completions: SHELL is missing"),
        (&["man", "dance"], "man: \"dance\" is no command"),
        (&["man", "wait", "--folder", "/"], "man: COMMAND and --folder exclude each other"),
        (&["--control", "x", "man"], "--control and --timeout go with what asks a server"),
        (&["--timeout", "1", "trial"], "--control and --timeout go with what asks a server"),
        (&["status"], "which server? Say --control PATH, or set HEIRLOOM_CONTROL"),
        (&["status", "--control", ""], "status: --control: a value is missing"),
        (
            &["status", "--control", &nobody],
            &*format!("ask {nobody}: No such file or directory (os error 2): no server has"),
        ),
    ] {
        let ran = run(args);
        assert_eq!((ran.status, &*ran.out), (Some(2), ""), "{args:?}: {ran:?}");
        let line = ran.err.strip_prefix("heirloom: ").and_then(|it| it.strip_suffix('\n'));
        let line = line.unwrap_or_else(|| panic!("{args:?}: {ran:?}"));
        assert!(line.starts_with(why) && !line.contains('\n'), "{args:?}: {line:?} is not {why:?}");
    }
}

/// A server of the test's own that gives one answer.
fn pretend(path: &Path, answer: &'static str) {
    let listener = UnixListener::bind(path).expect("a free path");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = stream.read(&mut [0; 256]);
        let _ = stream.write_all(answer.as_bytes());
    });
}

#[test]
fn a_server_that_is_older_than_the_program_is_named_as_the_reason() {
    let dir = Dir::new();
    let older = dir.path("older");
    pretend(&older, "ok: every 2.5s\n\nerror: \"wait\" is no request; try help\n\n");
    let ran = Ran::of(run_to_end(heirloom(&older).arg("wait")));
    assert_eq!(ran.status, Some(1), "{ran:?}");
    assert_eq!(ran.err, "heirloom: the server knows no \"wait\": it is older than this program\n");
}

#[test]
fn which_server_is_said_before_the_command_or_behind_it_or_by_the_environment() {
    let lab = Operated::with(50, |setup| setup);
    let control = lab.control().display().to_string();
    for args in [
        &["--control", "/nowhere", "status", "--control", &control][..],
        &["--control", &control, "--timeout", "5", "status"],
        &["status", "--timeout=5", &format!("--control={control}")],
        &["--control", "/nowhere", "--control", &control, "status"], // the last one counts
    ] {
        assert_eq!(run(args).status, Some(0), "{args:?}");
    }
    let by_environment = |variable: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heirloom"));
        Ran::of(run_to_end(command.args(args).env("HEIRLOOM_CONTROL", variable)))
    };
    assert_eq!(by_environment(&control, &["status"]).status, Some(0));
    let ran = by_environment("/nowhere", &["status", "--control", &control]);
    assert_eq!(ran.status, Some(0), "what is said has precedence: {ran:?}");
    assert_eq!(by_environment("", &["status"]).status, Some(2));
}

#[test]
fn help_and_version_are_answers() {
    for command in commands() {
        let help = said(&[&command, "--help"]);
        assert_eq!(help, said(&[&command, "-h"]));
        assert!(help.contains(&format!("\nUsage: heirloom {command} ")), "{help}");
    }
    assert_eq!(said(&["--version"]), format!("heirloom {}\n", env!("CARGO_PKG_VERSION")));
}

// Shells.

/// What bash offers for the last of these words.
fn completed(script: &Path, words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    let mut bash = Command::new("bash");
    // As the shell itself does: the function is told the command, the word, and the one before it.
    bash.arg("-c").arg(
        "source \"$1\"; shift; complete -p heirloom >&2 || exit; \
         COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
         _heirloom heirloom \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; \
         printf '%s\\n' \"${COMPREPLY[@]}\"",
    );
    let Output { status, stdout, stderr } = run_to_end(bash.arg("bash").arg(script).args(words));
    let err = String::from_utf8_lossy(&stderr);
    assert!(status.success() && err.contains("-F _heirloom"), "{last}: {err}");
    String::from_utf8_lossy(&stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_values() {
    let dir = Dir::new();
    let script = dir.path("heirloom.bash");
    fs::write(&script, said(&["completions", "bash"])).expect("a file");
    let offered = completed(&script, &["heirloom", ""]);
    for command in commands() {
        assert!(offered.contains(&command), "{command} is not in {offered:?}");
    }
    assert_eq!(completed(&script, &["heirloom", "st"]), ["status", "stop"]);
    assert_eq!(completed(&script, &["heirloom", "restart", "--fo"]), ["--fork", "--fork-exec"]);
    assert_eq!(completed(&script, &["heirloom", "trial", "--protocol", "r"]), ["raw", "redis"]);
    assert_eq!(completed(&script, &["heirloom", "completions", ""]).last().expect("some"), "fish");
    let beginning = dir.path("hei").display().to_string();
    let whole = script.display().to_string();
    assert_eq!(completed(&script, &["heirloom", "wait", "--control", &beginning]), [whole]);
}

#[test]
#[ignore = "needs zsh, fish"]
fn zsh_and_fish_complete_as_well() {
    let dir = Dir::new();
    let script = dir.path("_heirloom");
    fs::write(&script, said(&["completions", "zsh"])).expect("a file");
    // It is autoloaded, and is the one for the command.
    let load = format!(
        "fpath=({} $fpath); autoload -U compinit; compinit -u -D; echo ${{_comps[heirloom]}}; \
         autoload +X _heirloom && echo loaded",
        dir.path("").display()
    );
    let Output { stdout, stderr, .. } = run_to_end(Command::new("zsh").args(["-f", "-c", &load]));
    let told = String::from_utf8_lossy(&stdout);
    assert_eq!(told, "_heirloom\nloaded\n", "{}", String::from_utf8_lossy(&stderr));

    let script = dir.path("heirloom.fish");
    fs::write(&script, said(&["completions", "fish"])).expect("a file");
    let complete = |line: &str| {
        let ask = format!("source {}; complete -C '{line}'", script.display());
        let ran = run_to_end(Command::new("fish").args(["--no-config", "-c", &ask]));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    let offered = complete("heirloom sto");
    assert!(offered.starts_with("stop\tAll generations abort"), "{offered}");
    assert!(complete("heirloom restart --fork-").starts_with("--fork-exec\t"));
}

// The manual.

#[test]
fn the_manual_has_a_page_for_each_command() {
    let dir = Dir::new();
    let folder = dir.path("").display().to_string();
    let names: Vec<_> = said(&["man", "--folder", &folder]).lines().map(str::to_owned).collect();
    assert_eq!(names[0], "heirloom.1");
    assert_eq!(names.len(), 1 + commands().len());
    for command in commands() {
        let page = fs::read_to_string(dir.path(&format!("heirloom-{command}.1"))).expect("a page");
        assert_eq!(page, said(&["man", &command]));
        for section in
            ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "\"EXIT STATUS\"", "\"SEE ALSO\""]
        {
            assert!(page.contains(&format!("\n.SH {section}\n")), "no {section}: {page}");
        }
    }
    assert_eq!(fs::read_to_string(dir.path("heirloom.1")).expect("a page"), said(&["man"]));
    let ran = run(&["man", "--folder", "/no/such"]);
    assert!(
        ran.status == Some(2) && ran.err.starts_with("heirloom: man: write /no/such/"),
        "{ran:?}"
    );
}

#[test]
#[ignore = "needs mandoc, groff"]
fn nothing_is_wrong_with_its_pages() {
    let dir = Dir::new();
    let folder = dir.path("").display().to_string();
    for name in said(&["man", "--folder", &folder]).lines() {
        let page = dir.path(name);
        for linter in [
            &["mandoc", "-T", "lint", "-W", "warning"][..],
            &["groff", "-man", "-T", "utf8", "-ww", "-z"],
        ] {
            let ran = run_to_end(Command::new(linter[0]).args(&linter[1..]).arg(&page));
            let told = String::from_utf8([ran.stdout, ran.stderr].concat()).expect("text");
            // A break beside a list, which is none there.
            let mut told =
                told.lines().filter(|line| !line.contains("skipping paragraph macro: br"));
            assert_eq!(told.next(), None);
        }
    }
}

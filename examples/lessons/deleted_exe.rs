//! `/proc/self/exe` is the file that runs, not the one that was put in its place.

use std::{
    env, fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
};

use crate::{
    Lesson, Result, Verdict, process,
    tell::{right, say, wrong},
};

pub const LESSON: Lesson = Lesson {
    name: "deleted-exe",
    title: "an upgrade starts the old program again",
    teach,
    places: &[
        (
            "src/restart/engine/exec.rs",
            "program",
            "the path as the program was started by, looked up anew",
        ),
        (
            "src/restart/engine/exec.rs",
            "remember",
            "which is remembered before anything can change it",
        ),
        ("src/restart/engine/program_file.rs", "check", "says in words why a file cannot be run"),
    ],
};

/// What an operator installs; it says so, and ends.
const NEW_PROGRAM: &str = "#!/bin/sh\necho the new program\n";

fn teach() -> Result<Verdict> {
    if let Some(way) = env::args().nth(2) {
        return serve(&way); // this is its own server, by `upgrade` below
    }
    say(
        "A program is replaced by a rename: the new file takes over the path, and the old one lives on \
         without a name for as long as it runs. /proc/self/exe leads to the file that runs.",
    );
    wrong("A server is upgraded and starts itself again by /proc/self/exe.");
    let (name, by_exe) = upgrade("exe")?;
    say(format!("Its link now reads {name:?}, and what it has started is {by_exe}."));
    let (_, by_name) = upgrade("current-exe")?;
    say(format!("With the path that std::env::current_exe() answers there, it is {by_name}."));
    right(
        "The server remembers how it was started (argv[0], directory), and looks that path up anew.",
    );
    let (_, by_path) = upgrade("path")?;
    say(format!("What it has started is {by_path}."));
    Ok(Verdict {
        as_taught: by_exe == "the old program"
            && by_name == "nothing"
            && by_path == "the new program"
            && name.ends_with(" (deleted)"),
        wrong: format!("started {by_exe}, or {by_name}"),
        right: by_path,
    })
}

/// Runs a copy of this program as a server that is replaced while it runs, and starts itself again.
/// Answers what its link said then, and what was started.
fn upgrade(way: &str) -> Result<(String, String)> {
    let directory = env::temp_dir().join(format!("heirloom-lesson-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let path = directory.join("server");
    fs::copy("/proc/self/exe", &path)?;
    let server = Command::new(&path).args([LESSON.name, way]).output();
    fs::remove_dir_all(&directory)?;
    let said = String::from_utf8(server?.stdout)?;
    let link = said.lines().find_map(|line| line.strip_prefix("exe: ")).unwrap_or_default();
    Ok((link.to_owned(), said.lines().last().unwrap_or_default().to_owned()))
}

/// The server, in its own process: is upgraded, then becomes the program that it finds.
fn serve(way: &str) -> Result<Verdict> {
    if way == "again" {
        println!("the old program");
        std::process::exit(0);
    }
    // An operator installs the next version meanwhile: the new file is put there by rename.
    let next = Path::new(&process::program()).with_extension("next");
    fs::write(&next, NEW_PROGRAM)?;
    fs::set_permissions(&next, fs::Permissions::from_mode(0o755))?;
    fs::rename(&next, process::program())?;
    println!("exe: {}", fs::read_link("/proc/self/exe")?.display());
    let program = match way {
        "exe" => "/proc/self/exe".into(),
        "current-exe" => env::current_exe()?.into(),
        _ => process::program(),
    };
    let _ = Command::new(program).args([LESSON.name, "again"]).exec(); // answers only if it fails
    println!("nothing");
    std::process::exit(1);
}

//! What examples/kubernetes has is valid, as far as that can be told without a cluster, and its numbers add up.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{Dir, Server};

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn manifest() -> String {
    fs::read_to_string(place("examples/kubernetes/http.yaml")).expect("the manifest")
}

/// The number behind `name`, the first time it is there.
fn number(text: &str, name: &str) -> u64 {
    let behind = text.split(name).nth(1).unwrap_or_else(|| panic!("there is no {name}"));
    let digits: String = behind.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number behind {name}"))
}

/// The part of the text that begins with this line.
fn part<'t>(text: &'t str, name: &str) -> &'t str {
    &text[text.find(name).unwrap_or_else(|| panic!("there is no {name}"))..]
}

#[test]
fn the_grace_period_has_room_for_a_lame_duck_and_a_drain() {
    let text = manifest();
    let grace = number(&text, "terminationGracePeriodSeconds: ");
    let (lame_duck, before) = (number(&text, "--lame-duck="), number(&text, "sleep: { seconds: "));
    let drain = 30; // as `drain_on_stop` has it by default
    let late = 1; // what a supervisor gives beyond that
    assert!(grace > before + lame_duck + drain + late, "{grace} s");
    let readiness = part(&text, "readinessProbe:");
    let noticed = number(readiness, "failureThreshold: ")
        * (number(readiness, "periodSeconds: ") + number(readiness, "timeoutSeconds: "));
    assert!(lame_duck > 2 * noticed, "a lame duck of {lame_duck} s is noticed within {noticed} s");
    let liveness = part(&text, "livenessProbe:");
    assert!(number(liveness, "timeoutSeconds: ") > 2, "no time for the downtime of a restart");
}

/// The flags are those that the program has, and the image starts it as the manifest does.
#[test]
fn the_program_takes_what_the_manifest_says() {
    let text = manifest();
    let args = text.lines().filter_map(|line| line.trim_start().strip_prefix("- --"));
    let args: Vec<_> = args.map(|arg| format!("--{arg}")).collect();
    assert_eq!(args.len(), 4, "{args:?}");
    let image = fs::read_to_string(place("examples/kubernetes/Dockerfile")).expect("a Dockerfile");
    let cmd = image.lines().find_map(|line| line.strip_prefix("CMD ")).expect("a CMD");
    assert_eq!(cmd, format!("{args:?}"), "image and manifest differ");
    assert!(image.contains("ENTRYPOINT [\"/usr/local/bin/http\", \"--supervised\"]"));
    let dir = Dir::new();
    let here = |arg: &String| match arg.split_once("=0.0.0.0:") {
        Some((flag, _)) => format!("{flag}=127.0.0.1:0"),
        None => arg.replace("/run/http", &dir.path("").display().to_string()),
    };
    let mut setup = Server::of("http").arg("--supervised");
    for arg in args.iter().map(here).filter(|arg| !arg.starts_with("--listen")) {
        setup = setup.arg(arg);
    }
    assert!(setup.start().address.starts_with("127.0.0.1:"));
}

fn validate(file: &Path) -> (bool, String) {
    let program = place("target/kubernetes/python/bin/kubernetes-validate");
    let ran = Command::new(&program).arg("--strict").arg(file).output();
    let ran = ran.unwrap_or_else(|e| panic!("{}: {e}; .ci/run installs it", program.display()));
    let said = [ran.stdout, ran.stderr].concat();
    (ran.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
#[ignore = "needs kubernetes-validate"]
fn the_manifest_is_as_the_schemas_of_kubernetes_have_it() {
    let (valid, said) = validate(&place("examples/kubernetes/http.yaml"));
    assert!(valid, "{said}");
    // And who has written something else is told.
    let dir = Dir::new();
    let text = manifest();
    for (right, wrong) in [
        ("periodSeconds: 2", "periodSecond: 2"),
        ("maxUnavailable: 1", "maxUnavailable: [1]"),
        ("terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: soon"),
    ] {
        let broken = text.replacen(right, wrong, 1);
        assert_ne!(broken, text, "there is no {right}");
        let file = dir.path("broken.yaml");
        fs::write(&file, broken).expect("a file");
        let (valid, said) = validate(&file);
        assert!(!valid, "{wrong}: {said}");
    }
}

#[test]
#[ignore = "needs dockerfilelint"]
fn the_dockerfile_is_as_its_linter_has_it() {
    let program = place("target/kubernetes/node_modules/.bin/dockerfilelint");
    let lint = |file: &Path| {
        let ran = Command::new(&program).arg(file).output();
        let ran = ran.unwrap_or_else(|e| panic!("{}: {e}; .ci/run installs it", program.display()));
        (ran.status.success(), String::from_utf8_lossy(&ran.stdout).into_owned())
    };
    let (clean, said) = lint(&place("examples/kubernetes/Dockerfile"));
    assert!(clean, "{said}");
    let dir = Dir::new();
    let text = fs::read_to_string(place("examples/kubernetes/Dockerfile")).expect("a Dockerfile");
    for (right, wrong) in
        [("EXPOSE 8080 8081", "EXPOSE 8080 http"), ("WORKDIR /src", "WORKDI /src")]
    {
        assert!(text.contains(right));
        let file = dir.path("Dockerfile");
        fs::write(&file, text.replacen(right, wrong, 1)).expect("a file");
        let (clean, said) = lint(&file);
        assert!(!clean, "{wrong}: {said}");
    }
}

//! The dashboard in a real browser: each button is clicked, and the page shows what came of it, whatever its width
//! and colours are, to everybody.

use std::{fmt::Display, fs};

use crate::common::{Server, browser::Browser, with_own_temp};
use nix::sys::signal::Signal::SIGKILL;

fn dots(generation: u64) -> String {
    format!("picture.count({generation})")
}

fn box_of(generation: impl Display) -> String {
    format!("document.querySelector('.box[data-generation=\"{generation}\"]')?.dataset.phase")
}

fn start(probation: &str) -> Server {
    Server::of("dashboard").arg("--probation").arg(probation).start_as(with_own_temp)
}

fn open(server: &Server, scheme: &str) -> Browser {
    open_at(server, scheme, &dots(0))
}

/// Where that is how many clients there are.
fn open_at(server: &Server, scheme: &str, clients: &str) -> Browser {
    let page = Browser::open(&format!("http://{}/", server.address), scheme);
    let is_dark = "matchMedia('(prefers-color-scheme: dark)').matches";
    page.wait(is_dark, if scheme == "dark" { "true" } else { "false" });
    page.wait(clients, "100");
    page
}

/// Whether clients are to go along with the restarts to come.
fn choose(page: &Browser, moves: bool) {
    let text = if moves { "Clients move along" } else { "Clients stay, and drain" };
    page.click_at(&format!("//label[normalize-space(.)='{text}']"));
}

/// From now on each frame is looked at: `overlapped` counts those in which boxes are drawn over each other.
fn watch_boxes(page: &Browser) {
    page.run(
        "sync",
        "window.overlapped = 0; const look = () => { overlapped += picture.overlaps() ? 1 : 0; requestAnimationFrame(look); }; \
         look(); return ''",
    );
}

fn click_through(scheme: &str) {
    let server = start("0.5");
    let page = open(&server, scheme);
    watch_boxes(&page);
    page.click("Add 100 clients");
    page.wait(&dots(0), "200");
    page.click("Restart by fork");
    page.wait(&format!("{} > 20", dots(1)), "true");
    page.wait(&dots(1), "200");
    page.click("Restart by fork-exec");
    page.wait(&dots(2), "200");
    choose(&page, true);
    page.click("Restart by fork");
    page.wait(&dots(3), "200");
    page.click("Restart by fork-exec");
    page.wait(&dots(4), "200");
    page.wait(&box_of(4), "serving");
    page.click("Let the next one fail");
    page.wait("document.getElementById('doom').getAttribute('aria-pressed')", "true");
    choose(&page, false);
    page.click("Restart by fork-exec");
    page.wait("document.querySelectorAll('#journal .failed').length", "1");
    page.wait("document.getElementById('doom').getAttribute('aria-pressed')", "false");
    page.wait(&box_of(4), "serving");
    page.wait(&dots(4), "200");
    page.wait("seen.opened", "1"); // so far no restart has ended it
    choose(&page, true);
    page.click("Restart by fork-exec");
    page.wait(&dots(5), "200");
    page.wait("[...document.querySelectorAll('#journal .started')].some(it => it.textContent.includes('Generation 5, '))", "true");
    page.click("Send clients home");
    page.wait(&dots(5), "0");
    page.wait("document.getElementById('failed').textContent", "0");
    page.wait("document.getElementById('gaps').textContent", "0");
    page.wait("overlapped", "0");
}

#[test]
#[ignore = "needs chromium"]
fn each_button_does_what_it_says_in_light() {
    click_through("light");
}

#[test]
#[ignore = "needs chromium"]
fn each_button_does_what_it_says_in_dark() {
    click_through("dark");
}

#[test]
#[ignore = "needs chromium"]
fn a_roll_back_is_seen() {
    let server = start("600");
    let page = open(&server, "light");
    watch_boxes(&page);
    page.click("Restart by fork");
    page.wait(&box_of(1), "probation");
    page.wait("document.querySelector('.box.serves')?.dataset.generation", "1");
    page.click("Add 100 clients");
    page.wait(&dots(1), "100");
    page.click("Roll back");
    page.wait("document.querySelectorAll('#journal .back').length", "1");
    // The thick frame is where clients are accepted, and all of them end there.
    page.wait("document.querySelector('.box.serves')?.dataset.generation", "0");
    page.wait(&dots(0), "200");
    page.wait("document.getElementById('failed').textContent", "0");
    page.wait("document.getElementById('gaps').textContent", "0");
    page.wait("overlapped", "0");
}

/// The widths of a telephone, a tablet, a desk.
const WIDTHS: [u32; 3] = [390, 820, 1280];

fn fit_to(page: &Browser, width: u32) {
    page.resize(width, 900);
    let height = page.eval("document.documentElement.scrollHeight").parse().expect("a number");
    page.resize(width, height);
}

#[test]
#[ignore = "needs chromium"]
fn everything_has_its_place_in_every_width() {
    let server = start("0.05");
    let page = open(&server, "light");
    for all in ["200", "300", "400", "500"] {
        page.click("Add 100 clients");
        page.wait(&dots(0), all);
    }
    for width in WIDTHS {
        fit_to(&page, width);
        page.wait("document.documentElement.scrollWidth", &width.to_string());
        page.wait("picture.strays()", "0"); // all 500 are in their box
        page.wait("picture.overlaps()", "false");
        let small = "[...document.querySelectorAll('button, label, summary')]\
            .filter(it => it.getBoundingClientRect().height < 44).length";
        page.wait(small, "0");
        let unreadable = "[...document.querySelectorAll('body *')].filter(it => it.textContent.trim() \
            && parseFloat(getComputedStyle(it).fontSize) < 12).map(it => it.outerHTML).join()";
        page.wait(unreadable, "");
        page.wait(
            "document.querySelector('.box .name').getBoundingClientRect().height > 17",
            "true",
        );
        page.wait("document.querySelectorAll('[title]').length", "0");
        let lonely = "(() => { const tops = [...document.querySelectorAll('#tiles > div')].map(it => it.offsetTop); \
            return tops.filter(top => tops.filter(other => other === top).length === 1).length })()";
        page.wait(lonely, "0");
    }
    // Every explanation is there without a pointer, and every control has its place in the order of the keyboard.
    page.wait(
        "[...document.querySelectorAll('button')].every(it => it.querySelector('small').innerText)",
        "true",
    );
    page.wait("[...document.querySelectorAll('button')].every(it => it.tabIndex === 0)", "true");
}

#[test]
#[ignore = "needs chromium"]
fn who_comes_late_sees_what_has_happened() {
    let server = start("0.05");
    let page = open(&server, "light");
    page.click("Restart by fork");
    page.wait("document.querySelectorAll('#journal .stays').length", "1");
    page.run("sync", "location.reload(); return ''");
    page.wait("document.querySelectorAll('#journal .stays').length", "1");
    page.wait("document.getElementById('last-who').textContent", "1, by fork: stays");
}

#[test]
#[ignore = "needs chromium"]
fn a_server_that_is_gone_is_told() {
    let mut server = start("0.05");
    let page = open(&server, "dark");
    let off = "[...document.querySelectorAll('button')].filter(it => it.getAttribute('aria-disabled') === 'true').length";
    page.wait(off, "1"); // nothing can be rolled back
    page.wait("document.body.dataset.state", "live");
    server.signal(SIGKILL);
    page.wait("document.body.dataset.state", "gone");
    page.wait("document.getElementById('gone').innerText.startsWith('The server is gone: nothing has answered since ')", "true");
    page.wait(off, "6");
    fit_to(&page, 1280);
    page.screenshot("gone-dark-1280.png");
    server.wait_exit();
}

/// What axe-core finds wrong, as text: nothing.
fn audit(page: &Browser, axe: &str, when: &str) {
    page.run("sync", &format!("{axe}; return ''"));
    let found = page.run(
        "async",
        "const done = arguments[arguments.length - 1]; \
         axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }) \
         .then(({ violations }) => done(violations.map(it => `${it.id}: ${it.help}: ` \
         + it.nodes.map(node => node.html + node.failureSummary).join(' | ')).join('\\n')))",
    );
    assert_eq!(found, "", "{when}");
}

fn axe() -> String {
    let path = "target/axe/node_modules/axe-core/axe.min.js";
    fs::read_to_string(path).expect("axe-core: .ci/run has the line that installs it")
}

/// WCAG 2.2, level AA, as far as a program can tell, in each state that the page can be in.
fn is_for_everybody(scheme: &str) {
    let axe = axe();
    let mut server = start("600"); // until it is rolled back, however long the looking takes
    let page = open(&server, scheme);
    let all = |state: &str| {
        for width in WIDTHS {
            fit_to(&page, width);
            page.wait("picture.strays()", "0");
            page.screenshot(&format!("{state}-{scheme}-{width}.png"));
            audit(&page, &axe, &format!("{state}, {scheme}, {width} px"));
        }
    };
    page.click("Add 100 clients");
    page.click("Add 100 clients");
    page.wait(&dots(0), "300");
    all("quiet");
    choose(&page, true);
    page.click("Restart by fork-exec");
    page.wait(&box_of(1), "probation");
    page.wait(&dots(1), "300");
    all("probation");
    page.click("Roll back");
    page.wait(&dots(0), "300");
    page.wait(&box_of(0), "serving");
    all("back");
    page.click("Let the next one fail");
    page.click("Restart by fork");
    page.wait("document.querySelectorAll('#journal .failed').length", "1");
    page.wait(&box_of(0), "serving");
    all("failed");
    server.signal(SIGKILL);
    page.wait("document.body.dataset.state", "gone");
    all("gone");
    server.wait_exit();
}

#[test]
#[ignore = "needs chromium and axe-core"]
fn it_is_for_everybody_in_light() {
    is_for_everybody("light");
}

#[test]
#[ignore = "needs chromium and axe-core"]
fn it_is_for_everybody_in_dark() {
    is_for_everybody("dark");
}

/// Each worker is a line of its own, whose generations stand in one row where there is room.
fn workers_are_seen(scheme: &str) {
    let axe = axe();
    let setup = Server::of("dashboard").arg("--probation").arg("600").arg("--workers").arg("2");
    let server = setup.start_as(with_own_temp);
    let all =
        |first: &str, second: &str| format!("picture.count('{first}') + picture.count('{second}')");
    let page = open_at(&server, scheme, &all("0.0", "1.0"));
    watch_boxes(&page);
    page.wait("document.getElementById('state').innerText", "2 workers serve");
    page.wait("document.getElementById('rows').hidden", "false");
    let top = |own: &str| {
        format!(
            "document.querySelector('.box[data-generation=\"{own}\"]').getBoundingClientRect().top"
        )
    };
    let look = |state: &str| {
        for width in WIDTHS {
            fit_to(&page, width);
            page.wait("document.documentElement.scrollWidth", &width.to_string());
            page.wait("picture.strays()", "0");
            page.wait("picture.overlaps()", "false");
            let cut = "[...document.querySelectorAll('.box .name')].filter(it => it.scrollWidth > it.clientWidth).length";
            page.wait(cut, "0");
            page.screenshot(&format!("{state}-{scheme}-{width}.png"));
            audit(&page, &axe, &format!("{state}, {scheme}, {width} px"));
        }
    };
    look("workers");
    choose(&page, true);
    page.click("Restart by fork-exec");
    page.wait(&box_of("0.1"), "probation");
    page.wait(&all("0.1", "1.0"), "100");
    page.wait("document.getElementById('state').innerText", "2 workers serve, one on probation");
    look("workers-probation");
    page.resize(1280, 900);
    page.wait(&format!("{} === {}", top("0.0"), top("0.1")), "true");
    page.wait(&format!("{} < {}", top("0.1"), top("1.0")), "true");
    page.click("Roll back");
    page.wait(&box_of("0.0"), "serving");
    page.wait(&all("0.0", "1.0"), "100");
    page.wait("document.querySelectorAll('#journal .back').length", "1");
    page.wait("document.getElementById('failed').textContent", "0");
    page.wait("document.getElementById('gaps').textContent", "0");
    page.wait("overlapped", "0");
}

#[test]
#[ignore = "needs chromium and axe-core"]
fn workers_are_seen_in_light() {
    workers_are_seen("light");
}

#[test]
#[ignore = "needs chromium and axe-core"]
fn workers_are_seen_in_dark() {
    workers_are_seen("dark");
}

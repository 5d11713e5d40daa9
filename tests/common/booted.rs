//! A real systemd: process 1 of a process, a mount and a control group namespace of its own. Its root is a memory file system with
//! the programs of this machine, or of a tree that has another systemd, so nothing that it does is seen outside but its
//! sockets. Needs root. Where it does not start, the test fails and says what it said.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::common::{Client, DEADLINE, Dir, wait_for};

/// Takes a folder of the test, a tree, and a name for a control group. Of all that exists, what is needed is mounted, and
/// nothing of it can be written to but the folder, as `/srv`, and sockets.
const BOOT: &str = r#"
set -e
dir=$1 tree=$2 group=$3
mount --make-rprivate /
mkdir -p $dir/groups $dir/root
mount -t cgroup2 cgroup2 $dir/groups
mkdir $dir/groups/$group
echo $$ > $dir/groups/$group/cgroup.procs
umount $dir/groups
exec unshare --cgroup --mount --pid --fork --kill-child sh -c '
    set -e
    dir=$1 tree=$2
    mount -t tmpfs -o mode=755 tmpfs $dir/root
    cd $dir/root
    mkdir -p dev etc/systemd/system proc run srv sys tmp usr var/lib var/log var/tmp
    chmod 1777 tmp var/tmp
    for name in bin sbin lib lib64; do ln -s usr/$name $name; done
    for folder in $tree/usr/*; do
        name=usr/${folder##*/}
        mkdir $name
        [ $name = usr/local ] || { mount --bind $folder $name && mount -o remount,bind,ro $name; }
    done
    mkdir -p usr/local/bin
    mount --bind $dir/programs usr/local/bin
    mount --bind $dir/base usr/lib/systemd/system
    mount --bind $dir/units etc/systemd/system
    mount --bind $dir/srv srv
    printf "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n" > etc/passwd
    printf "root:x:0:\nnogroup:x:65534:\n" > etc/group
    echo 0123456789abcdef0123456789abcdef > etc/machine-id
    mount --rbind /dev dev
    mount -t proc proc proc
    mount --bind proc/sys proc/sys
    mount -o remount,bind,ro proc/sys
    mount -t sysfs -o ro sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs -o mode=755 tmpfs run
    mkdir run/lock
    pivot_root . tmp
    cd /
    umount -l /tmp
    export container=test PATH=/usr/local/bin:/usr/bin:/usr/sbin
    exec /usr/lib/systemd/systemd --system --unit=basic.target --log-target=null --show-status=false < /dev/null
' boot $dir $tree
"#;

/// Takes the folder and the control group, when nobody is in that any more.
const CLEAR: &str = "mount --make-rprivate / && mount -t cgroup2 cgroup2 $1/groups && \
                     find $1/groups/$2 -depth -type d -exec rmdir {} +";

/// Units that every start refers to. They bring nothing with them.
const BASE: [&str; 8] = [
    "basic.target",
    "sysinit.target",
    "shutdown.target",
    "network.target",
    "multi-user.target",
    "sockets.target",
    "umount.target",
    "final.target",
];

/// Which systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Of this machine.
    Installed,
    /// Of the tree that `.ci/run` lays out.
    Newer,
}

pub struct Booted {
    child: Child,
    /// The number of its process 1, as it is seen from here.
    init: String,
    pub dir: Dir,
    group: String,
}

impl Booted {
    /// Starts it, with `programs` in `/usr/local/bin`: each has a name there, and a file here.
    pub fn start(version: Version, programs: &[(&str, &Path)]) -> Booted {
        let tree = match version {
            Version::Installed => "/".to_owned(),
            Version::Newer => {
                let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/systemd");
                assert!(
                    tree.join("usr").exists(),
                    "{} is missing: .ci/run makes it",
                    tree.display()
                );
                tree.canonicalize().expect("a path").display().to_string()
            }
        };
        let dir = Dir::new();
        for name in ["base", "programs", "srv", "units"] {
            fs::create_dir(dir.path(name)).expect("a folder");
        }
        for name in BASE {
            let text = "[Unit]\nDefaultDependencies=no\n";
            fs::write(dir.path("base").join(name), text).expect("a unit");
        }
        for (name, file) in programs {
            fs::copy(file, dir.path("programs").join(name)).expect("a program");
        }
        let own = dir.path("").display().to_string();
        let group = own.trim_end_matches('/').rsplit('/').next().expect("a name").to_owned();
        let log = fs::File::create(dir.path("boot.log")).expect("a file");
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "sh",
            "-c",
            BOOT,
            "boot",
            own.trim_end_matches('/'),
            &tree,
            &group,
        ]);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command.process_group(0).spawn().expect("unshare(1)");
        let mut booted = Booted { child, init: String::new(), dir, group };
        booted.wait_until_it_answers();
        booted
    }

    fn wait_until_it_answers(&mut self) {
        let (until, own) = (Instant::now() + DEADLINE, self.child.id());
        loop {
            let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
            self.init = children.unwrap_or_default().trim().to_owned();
            if !self.init.is_empty()
                && self.systemctl(&["show", "--property=Version"]).status.success()
            {
                return;
            }
            let ended = self.child.try_wait().expect("our child").is_some();
            assert!(!ended && Instant::now() < until, "systemd does not start:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path("boot.log")).unwrap_or_default()
    }

    /// What runs there as root.
    pub fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.init, "--mount", "--pid", "--cgroup", "--", program])
            .args(args);
        command.stdin(Stdio::null()).output().expect("nsenter(1)")
    }

    pub fn systemctl(&self, args: &[&str]) -> Output {
        self.run("systemctl", args)
    }

    /// The same, where it must succeed. Answers what it said.
    pub fn must(&self, args: &[&str]) -> String {
        let done = self.systemctl(args);
        let said =
            [done.stdout, done.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(done.status.success(), "systemctl {args:?}: {said:?}");
        said[0].trim().to_owned()
    }

    /// A property of a unit.
    pub fn show(&self, unit: &str, property: &str) -> String {
        self.must(&["show", unit, "--value", &format!("--property={property}")])
    }

    /// Waits until a property of a unit has this value.
    pub fn wait(&self, unit: &str, property: &str, value: &str) {
        wait_for(&format!("{property} of {unit} to be {value}"), || {
            self.show(unit, property) == value
        });
    }

    /// Writes a unit, or what is put on top of one (`echo.service.d/test.conf`).
    pub fn unit(&self, name: &str, text: &str) {
        let path = self.dir.path("units").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a unit");
        self.must(&["daemon-reload"]);
    }

    /// The log of a service whose unit says `StandardError=append:/srv/log`.
    pub fn service_log(&self) -> String {
        fs::read_to_string(self.dir.path("srv").join("log")).unwrap_or_default()
    }

    /// Waits until that log has `count` lines with `text`, and answers the last of them.
    pub fn wait_lines(&self, text: &str, count: usize) -> String {
        let find = || -> Vec<String> {
            let log = self.service_log();
            log.lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
        };
        let until = Instant::now() + DEADLINE;
        loop {
            let found = find();
            if found.len() >= count {
                return found[count - 1].clone();
            }
            assert!(Instant::now() < until, "no line {count} with {text:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn all_logs(&self) -> String {
        let status = self.systemctl(&["status", "--no-pager", "--full", "--all", "*.service"]);
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        format!("--- systemd:\n{}{status}\n--- the service:\n{}", self.log(), self.service_log())
    }

    /// A client of the first listener of the newest generation.
    pub fn connect(&self) -> Client {
        Client::connect(&self.address())
    }

    /// Where it listens, by its log.
    pub fn address(&self) -> String {
        let log = self.service_log();
        let ready = log.lines().rev().find(|line| line.contains("ready: generation"));
        let listeners = ready.expect("a server that is ready").rsplit("listening on ").next();
        listeners.expect("a list").split(", ").next().expect("an address").to_owned()
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        let logs = thread::panicking().then(|| self.all_logs());
        if let Ok(init) = self.init.parse() {
            // With process 1 the kernel ends all others of its namespace.
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(init), nix::sys::signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        let own = self.dir.path("").display().to_string();
        let mut clear = Command::new("unshare");
        clear.args(["--mount", "sh", "-c", CLEAR, "clear", own.trim_end_matches('/'), &self.group]);
        clear.stderr(Stdio::null());
        let until = Instant::now() + Duration::from_secs(5);
        while !clear.status().is_ok_and(|status| status.success()) && Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        if let Some(logs) = logs {
            eprintln!("{logs}");
        }
    }
}

//! On what, and with what, was measured.

use std::{
    env, fs, iter,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::available_parallelism,
};

use serde::{Deserialize, Serialize};

/// Compared with these, or measured through them; their versions are in the lockfile.
const PACKAGES: [&str; 11] = [
    "cachesync",
    "quick_cache",
    "cached",
    "moka",
    "foyer-memory",
    "cachelito-async",
    "hydracache",
    "accelerator",
    "lapin",
    "redis",
    "tokio",
];

/// Where Debian's package puts links to its scripts.
const DEBIAN_SCRIPTS: &str = "/usr/lib/rabbitmq/bin";

/// What is known of a run, as pairs of what it is and what was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// What regenerates the report.
    pub command: String,
    /// When it ended, in UTC.
    pub date: String,
    /// Whether there were few rounds.
    pub is_quick: bool,
    /// The machine.
    pub machine: Vec<(String, String)>,
    /// The versions of all that takes part.
    pub versions: Vec<(String, String)>,
}

impl Facts {
    /// What can be found out here and now. What cannot is left out.
    pub fn gather(command: &str, load: Option<&str>, is_quick: bool) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let machine = [
            ("processor", processor(&read("/proc/cpuinfo"))),
            ("cores", available_parallelism().ok().map(|cores| cores.to_string())),
            ("memory", memory(&read("/proc/meminfo"))),
            ("system", system(&read("/etc/os-release"))),
            ("kernel", said("uname", &["-srm"])),
            ("huge pages", chosen(&read("/sys/kernel/mm/transparent_hugepage/enabled"))),
            ("load before", load.map(str::to_owned)),
        ];
        let lock = include_str!("../../../Cargo.lock");
        let packages = PACKAGES.map(|name| (name, version_of(name, lock)));
        let programs = [
            ("rustc", said("rustc", &["--version"]).map(|said| said.trim_start_matches("rustc ").to_owned())),
            ("commit", commit()),
            ("RabbitMQ", rabbitmq()),
            ("Redis", said("redis-server", &["--version"]).and_then(|said| redis(&said))),
            ("valgrind", said("valgrind", &["--version"]).map(|said| said.trim_start_matches("valgrind-").to_owned())),
        ];
        Self {
            command: command.to_owned(),
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default(),
            is_quick,
            machine: known(machine),
            versions: known(programs.into_iter().chain(packages)),
        }
    }
}

fn known<'a>(facts: impl IntoIterator<Item = (&'a str, Option<String>)>) -> Vec<(String, String)> {
    facts.into_iter().filter_map(|(what, found)| Some((what.to_owned(), found?))).collect()
}

/// What follows a name and a separator at the beginning of a line.
fn field<'a>(text: &'a str, name: &str, separator: char) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(separator)).map(str::trim)
}

fn processor(cpuinfo: &str) -> Option<String> {
    field(cpuinfo, "model name", ':').map(str::to_owned)
}

fn memory(meminfo: &str) -> Option<String> {
    let kibibytes: u64 = field(meminfo, "MemTotal", ':')?.strip_suffix(" kB")?.parse().ok()?;
    Some(format!("{} GiB", (kibibytes + 512 * 1_024) / (1_024 * 1_024)))
}

fn system(os_release: &str) -> Option<String> {
    field(os_release, "PRETTY_NAME", '=').map(|name| name.trim_matches('"').to_owned())
}

/// The word in brackets: of transparent huge pages, on which it depends how long looks into large maps take.
fn chosen(words: &str) -> Option<String> {
    Some(words.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// The version of a package in the lockfile; of the newest, if there are several.
fn version_of(name: &str, lock: &str) -> Option<String> {
    let value = |section: &str, key| field(section, key, '=').map(|text| text.trim_matches('"').to_owned());
    lock.split("\n\n")
        .filter(|section| value(section, "name").as_deref() == Some(name))
        .last()
        .and_then(|section| value(section, "version"))
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| said("git", &[&["-C", env!("CARGO_MANIFEST_DIR")], arguments].concat());
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| !changes.is_empty());
    git(&["rev-parse", "--short", "HEAD"]).map(|commit| commit + if changed { ", with changes" } else { "" })
}

/// The version is in the folder of its scripts. `rabbitmqctl version` would say it, too, and leave a daemon behind that listens
/// to the whole network, and a cookie in the home folder.
fn rabbitmq() -> Option<String> {
    let on_path = env::var_os("PATH");
    let on_path = on_path.iter().flat_map(env::split_paths);
    let scripts = iter::once(PathBuf::from(DEBIAN_SCRIPTS)).chain(on_path).map(|folder| folder.join("rabbitmq-server"));
    scripts.filter_map(|script| fs::canonicalize(script).ok()).find_map(|script| rabbitmq_of(&script))
}

fn rabbitmq_of(script: &Path) -> Option<String> {
    script.iter().find_map(|folder| folder.to_str()?.strip_prefix("rabbitmq_server-").map(str::to_owned))
}

fn redis(said: &str) -> Option<String> {
    said.split(' ').find_map(|word| word.strip_prefix("v=")).map(str::to_owned)
}

/// What a program says, if it is there and succeeds.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    output.status.success().then_some(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_what_the_system_says() {
        assert_eq!(processor("vendor_id\t: x\nmodel name\t: A CPU @ 2 GHz\n").as_deref(), Some("A CPU @ 2 GHz"));
        assert_eq!(memory("MemTotal:       24605492 kB\nMemFree: 1 kB\n").as_deref(), Some("23 GiB"));
        assert_eq!(system("NAME=\"x\"\nPRETTY_NAME=\"Debian 12\"\n").as_deref(), Some("Debian 12"));
        assert_eq!(chosen("always [madvise] never\n").as_deref(), Some("madvise"));
        assert_eq!(redis("Redis server v=7.0.15 sha=0 bits=64").as_deref(), Some("7.0.15"));
        let script = Path::new("/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmq-server");
        assert_eq!(rabbitmq_of(script).as_deref(), Some("3.10.8"));
        assert_eq!([processor(""), memory(""), system(""), chosen(""), redis("")], [const { None }; 5]);
    }

    #[test]
    fn a_package_of_the_lockfile_has_a_version() {
        let lock = "version = 4\n\n[[package]]\nname = \"moka\"\nversion = \"0.12.1\"\nsource = \"x\"\n\n[[package]]\nname = \"moka-x\"\nversion = \"1.0.0\"\n";
        assert_eq!(version_of("moka", lock).as_deref(), Some("0.12.1"));
        assert_eq!(version_of("mok", lock), None);
    }

    #[test]
    fn the_versions_of_all_packages_are_known() {
        let facts = Facts::gather("cargo xtask bench", Some("0.1"), false);
        for name in PACKAGES.iter().chain(&["rustc"]) {
            assert!(facts.versions.iter().any(|(what, version)| what == name && !version.is_empty()), "{name}");
        }
        assert!(facts.machine.contains(&("load before".to_owned(), "0.1".to_owned())), "{facts:?}");
    }
}

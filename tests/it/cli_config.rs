//! Whole outputs of the command line: help of every command, and what `config` says. `BLESS=1` rewrites the snapshots.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder with configuration files and variables, in which the broker's commands are run.
struct Desk {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, &'static str)>,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    fn run(&self, arguments: &str) -> Shown {
        let output = Command::new(env!("CARGO_BIN_EXE_securemq"))
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .env_clear()
            .envs(self.variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Shown {
            command: format!("securemq {arguments}").trim_end().to_owned(),
            exit: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// What a command printed.
struct Shown {
    command: String,
    exit: i32,
    out: String,
    err: String,
}

impl Shown {
    /// Compares with `tests/data/cli/NAME.txt`.
    fn is(&self, name: &str) {
        let mut shown = format!("$ {}\n", self.command);
        for (stream, text) in [("out", &self.out), ("err", &self.err)] {
            text.lines().for_each(|line| writeln!(shown, "{}", format!("{stream}| {line}").trim_end()).unwrap());
        }
        writeln!(shown, "exit {}", self.exit).unwrap();
        let path = snapshots().join(format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &shown).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            shown == expected,
            "`{}` no longer prints what {} has; `BLESS=1 cargo test --test it cli_config` takes this:\n{shown}",
            self.command,
            path.display()
        );
    }
}

fn snapshots() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cli")
}

/// The names that a help text lists as commands, without `help` itself.
fn commands_of(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter(|line| !line.starts_with("    ")).filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

#[test]
fn every_command_explains_itself() {
    let desk = Desk::new();
    let mut commands = vec![String::new()];
    while let Some(command) = commands.pop() {
        let shown = desk.run(format!("{command} --help").trim_start());
        shown.is(format!("help {command}").trim_end().replace(' ', "-").as_str());
        assert_eq!((shown.exit, shown.err.as_str()), (0, ""), "{command}");
        commands.extend(commands_of(&shown.out).iter().map(|name| format!("{command} {name}").trim_start().to_owned()));
    }
}

#[test]
fn a_wrong_command_line_is_answered_with_2() {
    let desk = Desk::new();
    desk.run("confg").is("usage-command");
    desk.run("config check --listen mqtt://broker.example").is("usage-url");
    desk.run("config check --lisen mqtt://localhost").is("usage-flag");
    assert_eq!(desk.run("").exit, 2);
    assert_eq!(desk.run("config").exit, 2);
}

#[test]
fn config_check_finds_nothing_wrong_with_the_example() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml.example");
    let desk = Desk::new().file("config.toml", &fs::read_to_string(example).unwrap());
    desk.run("config check --config config.toml").is("config-check-example");
}

#[test]
fn config_check_says_which_certificate_files_cannot_be_used_and_why() {
    let desk = Desk::new()
        .file("usual.toml", "[tls]\n")
        .file("text.pem", "no certificate\n")
        .file(
            "wrong.toml",
            "[tls]\ncertificate = \"missing.crt\"\nprivate_key = \"securemq-data/tls/server.crt\"\n\
             client_ca = \"text.pem\"\ncrl = \"revoked.pem\"\n[[listeners]]\nurl = \"mqtts://0.0.0.0:8883\"\n\
             authentication = \"certificate\"\n",
        )
        .file(
            "foreign.toml",
            "[tls]\ncertificate = \"securemq-data/tls/server.crt\"\nprivate_key = \"securemq-data/tls/ca.key\"\n",
        )
        .file(
            "right.toml",
            "[tls]\ncertificate = \"securemq-data/tls/server.crt\"\nprivate_key = \"securemq-data/tls/server.key\"\n",
        );
    let said = |name: &str| desk.run(&format!("config check --config {name}"));
    assert_eq!(said("usual.toml").out, "ok\n", "what the broker makes itself may be missing");
    desk.run("cert init");
    assert_eq!((said("usual.toml").out, said("right.toml").out), ("ok\n".into(), "ok\n".into()));
    let wrong = said("wrong.toml");
    assert_eq!(wrong.exit, 1);
    for problem in [
        "missing.crt cannot be read: No such file",
        "server.crt is open to others (mode 0644); run: chmod 600",
        "text.pem holds no certificate in PEM",
        "revoked.pem cannot be read: No such file",
        "name a certificate in PEM",
    ] {
        assert!(wrong.err.contains(problem), "{problem}: {}", wrong.err);
    }
    let foreign = said("foreign.toml");
    let problem = "server.crt and the key in securemq-data/tls/ca.key cannot be used";
    assert!(foreign.exit == 1 && foreign.err.contains(problem), "{}", foreign.err);
}

#[test]
fn config_check_names_every_wrong_key_with_the_nearest_right_one() {
    Desk::new()
        .file(
            "wrong.toml",
            "datadir = \"/srv\"\n\n[auth]\nanonymous_rol = \"Student\"\n\n[limit]\nmax_connections = 1\n\n\
             [log]\ncolour = \"red\"\n",
        )
        .variable("SECUREMQ__AUTH__LOGIN_THREAD", "2")
        .variable("SECUREMQ__LOGS__KEEP_DAYS", "2")
        .run("config check --config wrong.toml")
        .is("config-check-wrong-keys");
}

#[test]
fn config_check_names_every_wrong_value_with_what_is_allowed() {
    Desk::new()
        .file(
            "wrong.toml",
            "workers = \"many\"\n[tls]\ncertificate = \"server.pem\"\nminimum_version = 1.1\ncertificate_user = \"SAN\"\n\
             [auth]\nanonymous_role = \"Stu/dent\"\n[limits]\nmax_inflight = 0\nmax_packet_size = 1e6\n\
             [log]\npublish = 1\n[key]\nfile = \"a\"\npassphrase_file = \"b\"\n",
        )
        .variable("SECUREMQ__LOG__KEEP_DAYS", "a month")
        .variable("SECUREMQ__STORE", "sqlite")
        .variable("SECUREMQ__DATA_DIR", "")
        .run("config check --config wrong.toml")
        .is("config-check-wrong-values");
}

#[test]
fn config_check_says_what_is_wrong_with_listeners() {
    Desk::new()
        .file(
            "wrong.toml",
            "[[listeners]]\nurl = \"mqtt://broker.example:1883\"\n\n[[listeners]]\nurl = \"mqtt://localhost\"\n\
             authentication = \"certificate\"\n\n[[listeners]]\nurl = \"mqtts://0.0.0.0:8883\"\n\n\
             [[listeners]]\nurl = \"wss://:8883\"\nauthentification = \"password\"\n",
        )
        .run("config check --config wrong.toml")
        .is("config-check-wrong-listeners");
}

#[test]
fn config_check_names_the_lines_that_are_not_toml() {
    Desk::new()
        .file("wrong.toml", "workers = 1\n[log\nkeep_days = \n[auth]\nlogin_threads 2\n")
        .run("config check --config wrong.toml")
        .is("config-check-not-toml");
}

#[test]
fn config_check_says_when_there_is_no_file() {
    Desk::new().run("config check --config missing.toml").is("config-check-no-file");
}

#[test]
fn config_check_warns_of_what_is_allowed_but_weak() {
    Desk::new()
        .variable("SECUREMQ__AUTH__ANONYMOUS_ROLE", "Student")
        .run("config check --listen mqtt://0.0.0.0 --listen mqtt://localhost:1884")
        .is("config-check-warnings");
}

#[test]
fn config_show_prints_every_option_with_its_default() {
    Desk::new().run("config show").is("config-show");
}

#[test]
fn config_show_says_where_each_value_comes_from() {
    let desk = Desk::new()
        .file("config.toml", "workers = 2\n[tls]\ncrl = \"revoked.pem\"\n[log]\nkeep_days = 7\npublish = false\n")
        .variable("SECUREMQ__LOG__KEEP_DAYS", "8")
        .variable("SECUREMQ__AUTH__ANONYMOUS_ROLE", "Student")
        .variable("SECUREMQ_CONFIG", "config.toml");
    desk.run("config show --data-dir data --listen ws://localhost").is("config-show-sources");
    let shown = desk.run("config show --json --data-dir data --listen ws://localhost");
    shown.is("config-show-json");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&shown.out).unwrap();
    assert!(rows.iter().any(|row| row["key"] == "log.keep_days" && row["value"] == 8));
}

#[test]
fn neither_check_nor_show_makes_a_file() {
    let desk = Desk::new();
    desk.run("config check");
    desk.run("config show");
    assert_eq!(fs::read_dir(desk.folder.path()).unwrap().count(), 0);
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let mut shown = Command::new(env!("CARGO_BIN_EXE_securemq"))
        .args(["config", "show"])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(shown.stdout.take());
    let output = shown.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}

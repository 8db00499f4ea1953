//! Layers over layers: what wins, what is found, and where it is said to be.

use super::*;
use crate::broker::RoleName;
use crate::broker::{Durability, QueueFull, TopicSettings};
use crate::config::{Authentication, CertificateFiles, KeySettings, TlsVersion, Warning};
use crate::protocol::{QoS, TopicFilter, TopicName};
use std::fs;
use std::num::NonZeroUsize;
use std::time::Duration;

const EXAMPLE: &str = include_str!("../../../config.toml.example");

/// A file named `config.toml` in a folder of its own, with the variables and flags beside it.
struct World {
    folder: tempfile::TempDir,
    environment: Vec<(OsString, OsString)>,
    flags: Flags,
}

impl World {
    fn new(file: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, file).unwrap();
        let flags = Flags { config: Some(path), ..Flags::default() };
        Self { folder, environment: Vec::new(), flags }
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn data_dir(mut self, path: &str) -> Self {
        self.flags.data_dir = Some(path.into());
        self
    }

    fn listen(mut self, url: &str) -> Self {
        self.flags.listen.push(url.parse().unwrap());
        self
    }

    fn load(&self) -> Result<Loaded, ConfigError> {
        load(&self.flags, self.environment.clone())
    }

    fn config(&self) -> Config {
        self.load().unwrap_or_else(|error| panic!("{:#?}", error.problems)).config
    }

    fn problems(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        let problems = self.load().expect_err("something is wrong").problems;
        problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
    }

    fn source(&self, key: &str) -> String {
        let folder = format!("{}/", self.folder.path().display());
        let settings = self.load().unwrap().settings;
        settings.iter().find(|setting| setting.key == key).expect(key).source.to_string().replace(&folder, "")
    }
}

/// The example with every option in force: `#key` and `#[[table]]` are options, `# text` is prose.
fn uncommented(example: &str) -> String {
    let is_option = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    let lines = example.lines().map(|line| line.strip_prefix('#').filter(|rest| is_option(rest)).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn shown(settings: &[Setting]) -> Vec<String> {
    settings.iter().map(|setting| format!("{} = {}", setting.key, setting.value)).collect()
}

#[test]
fn without_a_word_the_defaults_hold() {
    let loaded = load(&Flags::default(), []).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert!(loaded.settings.iter().all(|setting| setting.source == Source::Default));
}

#[test]
fn the_example_has_every_option_with_its_default() {
    let defaults = load(&Flags::default(), []).unwrap();
    let world = World::new(&uncommented(EXAMPLE));
    let example = world.load().unwrap_or_else(|error| panic!("{:#?}", error.problems));
    let folder = world.folder.path().display().to_string();
    let (shown_defaults, shown_example) = (shown(&defaults.settings), shown(&example.settings));
    for (in_example, default) in shown_example.iter().zip(&shown_defaults) {
        assert_eq!(&in_example.replace(&format!("{folder}/"), ""), default);
    }
    assert_eq!(shown_example.len(), shown_defaults.len());
    for setting in &example.settings {
        assert!(matches!(setting.source, Source::File(..)), "config.toml.example does not name {}", setting.key);
    }
}

#[test]
fn the_example_as_it_is_changes_nothing() {
    assert_eq!(World::new(EXAMPLE).config(), Config::default());
}

#[test]
fn the_options_are_shown_in_the_order_of_the_example() {
    let lines: Vec<usize> = World::new(&uncommented(EXAMPLE))
        .load()
        .unwrap()
        .settings
        .iter()
        .map(|setting| match setting.source {
            Source::File(_, line) => line,
            Source::Default | Source::Variable(_) | Source::Flag(_) => 0,
        })
        .collect();
    assert!(lines.is_sorted(), "{lines:?}");
}

#[test]
fn every_option_of_the_file_arrives() {
    let config = World::new(
        r#"
            data_dir = "/var/lib/securemq"
            workers = 3
            [[listeners]]
            url = "mqtts://0.0.0.0:8883"
            authentication = "certificate"
            certificate = "/etc/a.pem"
            private_key = "/etc/a.key"
            [[listeners]]
            url = "mqtt://localhost"
            [tls]
            minimum_version = "1.3"
            [auth]
            anonymous_role = "Student"
            login_cache_seconds = 0
            [limits]
            max_keep_alive_seconds = 60
            [log]
            publish = false
            [key]
            passphrase_file = "/etc/passphrase"
        "#,
    )
    .config();
    let (secure, plain) = (&config.listeners[0], &config.listeners[1]);
    assert_eq!(config.data_dir, Path::new("/var/lib/securemq"));
    assert_eq!(config.workers, NonZeroUsize::new(3));
    assert_eq!(secure.url.to_string(), "mqtts://0.0.0.0:8883");
    assert_eq!(secure.authentication, Authentication::Certificate);
    let files = CertificateFiles { certificate: "/etc/a.pem".into(), private_key: "/etc/a.key".into() };
    assert_eq!(secure.certificate, Some(files));
    assert_eq!(
        (plain.url.to_string().as_str(), plain.authentication),
        ("mqtt://localhost:1883", Authentication::Password)
    );
    assert_eq!(config.tls.minimum_version, TlsVersion::V1_3);
    assert_eq!(config.auth.anonymous_role, RoleName::new("Student").ok());
    assert_eq!(config.auth.login_cache, Duration::ZERO);
    assert_eq!(config.limits.max_keep_alive, Duration::from_secs(60));
    assert!(!config.log.publish);
    assert_eq!(config.key, KeySettings::PassphraseFile("/etc/passphrase".into()));
    assert_eq!(config.warnings(), [Warning::AnonymousClients(RoleName::new("Student").unwrap())]);
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let world = World::new("data_dir = \"/file\"\nworkers = 1\n[log]\nkeep_days = 1\nmax_size_mb = 1\n")
        .variable("SECUREMQ__DATA_DIR", "/variable")
        .variable("SECUREMQ_DATA_DIR", "/default")
        .variable("SECUREMQ__LOG__KEEP_DAYS", "2")
        .variable("SECUREMQ__LOG__PUBLISH", "false")
        .data_dir("/flag");
    let config = world.config();
    assert_eq!(config.data_dir, Path::new("/flag"));
    assert_eq!((config.log.keep_days, config.log.max_size_mb, config.log.publish), (2, 1, false));
    for (key, source) in [
        ("data_dir", "--data-dir"),
        ("workers", "config.toml:2"),
        ("log.keep_days", "SECUREMQ__LOG__KEEP_DAYS"),
        ("log.max_size_mb", "config.toml:5"),
        ("log.max_events_per_second", "default"),
        ("listeners[0].url", "default"),
    ] {
        assert_eq!(world.source(key), source, "{key}");
    }
}

#[test]
fn the_variable_for_the_data_folder_holds_when_no_option_or_flag_says_otherwise() {
    let variable = |file: &str| World::new(file).variable("SECUREMQ_DATA_DIR", "/default");
    assert_eq!(variable("").config().data_dir, Path::new("/default"));
    assert_eq!(variable("data_dir = '/file'").config().data_dir, Path::new("/file"));
    assert_eq!(variable("").data_dir("/flag").config().data_dir, Path::new("/flag"));
}

#[test]
fn listeners_of_the_command_line_replace_the_configured_ones() {
    let world = World::new("listeners = ['mqtts://', 'wss://']").listen("mqtt://127.0.0.1:0").listen("mqtt://[::1]:0");
    let urls: Vec<String> = world.config().listeners.iter().map(|listener| listener.url.to_string()).collect();
    assert_eq!(urls, ["mqtt://127.0.0.1:0", "mqtt://[::1]:0"]);
    assert_eq!(world.source("listeners[0].url"), "--listen");
    assert_eq!(world.source("listeners[0].authentication"), "default");
}

#[test]
fn the_environment_holds_lists_as_toml() {
    let text = r#"[{ url = "mqtts://:1", authentication = "password" }, "ws://localhost"]"#;
    let config = World::new("").variable("SECUREMQ__LISTENERS", text).config();
    assert_eq!(config.listeners[0].authentication, Authentication::Password);
    assert_eq!(config.listeners[1].url.to_string(), "ws://localhost:8083/mqtt");
}

#[test]
fn text_in_the_environment_needs_no_quotes_and_may_look_like_a_number() {
    let config = World::new("").variable("SECUREMQ__AUTH__ANONYMOUS_ROLE", "12").config();
    assert_eq!(config.auth.anonymous_role, RoleName::new("12").ok());
}

#[test]
fn an_empty_variable_takes_back_what_the_file_says() {
    let world = World::new("auth.anonymous_role = 'Student'").variable("SECUREMQ__AUTH__ANONYMOUS_ROLE", "");
    assert_eq!(world.config().auth.anonymous_role, None);
}

#[test]
fn a_relative_path_in_the_file_begins_at_the_file() {
    let world = World::new("[tls]\ncrl = 'revoked.pem'").variable("SECUREMQ__TLS__CLIENT_CA", "ca.pem");
    let tls = world.config().tls;
    assert_eq!(tls.crl, Some(world.folder.path().join("revoked.pem")));
    assert_eq!(tls.client_ca, Some("ca.pem".into()));
}

#[test]
fn what_a_stranger_may_send_is_never_more_than_what_a_user_may() {
    let limits = World::new("limits.max_packet_size = 2048").config().limits;
    assert_eq!((limits.max_packet_size, limits.pre_login_packet_size), (2048, 2048));
}

#[test]
fn all_problems_are_found_at_once() {
    let world = World::new(
        r#"
data-dir = "/srv"
workers = "many"
[auth]
anonymous_rol = "Student"
login_threads = -1
[limit]
max_connections = 1
[log]
publish = "yes"
keep_days = 0
colour = "red"
"#,
    )
    .variable("SECUREMQ__LOG__KEEP_DAY", "3")
    .variable("SECUREMQ__LOG__MAX_SIZE_MB", "big");
    assert_eq!(
        world.problems(),
        [
            "config.toml:2: data-dir: there is no such option; did you mean data_dir?",
            "config.toml:3: workers: \"many\" is not a whole number from 0 to 1024",
            "config.toml:5: auth.anonymous_rol: there is no such option; did you mean auth.anonymous_role?",
            "config.toml:6: auth.login_threads: -1 is not a whole number from 0 to 256",
            "config.toml:7: limit: there is no such option; did you mean limits?",
            "config.toml:10: log.publish: \"yes\" is not true or false",
            "config.toml:11: log.keep_days: 0 is not a whole number from 1 to 36500",
            "config.toml:12: log.colour: there is no such option; config.toml.example has them all",
            "SECUREMQ__LOG__KEEP_DAY: there is no such option; did you mean SECUREMQ__LOG__KEEP_DAYS?",
            "SECUREMQ__LOG__MAX_SIZE_MB: \"big\" is not a whole number from 1 to 1048576",
        ]
    );
}

#[test]
fn topics_have_settings_of_their_own_and_leave_the_rest_to_listener_and_store() {
    let config = World::new(
        r#"
store.durability = "os"
[[listeners]]
url = "mqtt://localhost"
durability = "memory"
[[topics]]
filter = "telemetry/#"
durability = "memory"
[[topics]]
filter = "orders/+"
queue_full = "refuse"
"#,
    )
    .config();
    let about = |filter: &str, durability, queue_full| TopicSettings {
        filter: TopicFilter::try_from(filter).unwrap(),
        durability,
        queue_full,
    };
    let topics = [
        about("telemetry/#", Some(Durability::Memory), QueueFull::DropNewest),
        about("orders/+", None, QueueFull::Refuse),
    ];
    assert_eq!(config.topics, topics);
    assert_eq!(config.listeners[0].durability, Some(Durability::Memory));
    let order = TopicName::try_from("orders/1").unwrap();
    assert_eq!(config.durabilities().of(&order, QoS::AtLeastOnce, None).0, Durability::Os);
}

/// The block of the example is prose, since the default is that there is none.
#[test]
fn the_example_of_a_topic_is_one() {
    let lines = EXAMPLE.lines().map(|line| line.strip_prefix("# ").unwrap_or(""));
    let block =
        lines.skip_while(|line| *line != "[[topics]]").filter(|line| line.contains(" = ") || line.starts_with('['));
    let config = World::new(&block.collect::<Vec<_>>().join("\n")).config();
    assert_eq!(config.topics.len(), 1);
    assert_eq!(config.topics[0].queue_full, QueueFull::default());
}

#[test]
fn what_is_wrong_with_a_topic_is_said_at_its_line() {
    let world =
        World::new("[[topics]]\nfilter = 'a/#/b'\n[[topics]]\nfilter = 'a'\ndurability = 'disk'\nqueue_full = ''\n");
    let problems = world.problems();
    assert!(
        problems[0].starts_with("config.toml:2: topics[0].filter: \"a/#/b\" is no topic filter: it "),
        "{problems:?}"
    );
    assert_eq!(
        problems[1..],
        [
            "config.toml:5: topics[1].durability: \"disk\" is not one of \"commit\", \"os\", \"memory\", \"\"",
            "config.toml:6: topics[1].queue_full: \"\" is not one of \"drop-newest\", \"drop-oldest\", \"refuse\"",
        ]
    );
    let many = World::new(&"[[topics]]\nfilter = 'a'\n".repeat(101)).problems();
    assert_eq!(many, ["config.toml:202: topics[100].filter: has more than 100 entries; use filters that match more"]);
}

#[test]
fn what_is_wrong_with_a_listener_is_said_at_its_line() {
    let world = World::new(
        r#"
[[listeners]]
url = "mqtt://broker.example"
[[listeners]]
url = "mqtt://localhost"
authentication = "certificate"
certificate = "a.pem"
[[listeners]]
url = "mqtts://:8883"
authentification = "password"
private_key = "a.key"
[[listeners]]
url = "wss://127.0.0.1:8883"
authentication = "none"
"#,
    );
    assert_eq!(
        world.problems(),
        [
            "config.toml:3: listeners[0].url: \"mqtt://broker.example\" is no place to listen: its host \"broker.example\" is not \
             an IP address (IPv6 in brackets) or localhost; write it as mqtts://0.0.0.0:8883 or ws://localhost:8083/mqtt",
            "config.toml:6: listeners[1].authentication: certificate needs TLS, which mqtt://localhost:1883 does not have; \
             write \"password\", or listen on mqtts:// or wss://",
            "config.toml:7: listeners[1].certificate: goes together with private_key; set both or none",
            "config.toml:10: listeners[2].authentification: there is no such option; did you mean \
             listeners[2].authentication?",
            "config.toml:11: listeners[2].private_key: goes together with certificate; set both or none",
            "config.toml:13: listeners[3].url: another listener has 0.0.0.0:8883 already; give one of them another port",
            "config.toml:14: listeners[3].authentication: \"none\" is not one of \"password\", \"certificate\", \
             \"password-or-certificate\", \"password-and-certificate\"",
        ]
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_told_what_is_right() {
    for (file, problem) in [
        ("listeners = []", "listeners: an empty list is not a list of listeners, as [\"mqtts://0.0.0.0:8883\"]"),
        ("listeners = 'mqtts://'", "listeners: \"mqtts://\" is not a list of listeners, as [\"mqtts://0.0.0.0:8883\"]"),
        ("listeners = [1883]", "listeners[0]: 1883 is not a listener: a URL, or a table with url and authentication"),
        ("data_dir = ''", "data_dir: \"\" is not the path of a file or folder"),
        ("data_dir = 3", "data_dir: 3 is not a string in quotes"),
        ("auth = true", "auth: true is not a group of options, which go below it"),
        (
            "auth = {anonymous_role = 'a/b'}",
            "auth.anonymous_role: the name holds '/'; '/', '+', '#', '%' and control \
         characters are not allowed in names; name a role, as \"Student\", or leave it empty for none",
        ),
        ("tls.minimum_version = 1.2", "tls.minimum_version: 1.2 is not one of \"1.2\", \"1.3\""),
        ("tls.minimum_version = '1.1'", "tls.minimum_version: \"1.1\" is not one of \"1.2\", \"1.3\""),
        ("limits.max_inflight = 70_000", "limits.max_inflight: 70000 is not a whole number from 1 to 65535"),
        ("limits.max_inflight = 1e3", "limits.max_inflight: 1e3 is not a whole number from 1 to 65535"),
        (
            "limits.max_inflight = 99999999999999999999",
            "limits.max_inflight: 99999999999999999999 is not a whole number \
         from 1 to 65535",
        ),
        ("key = {file = 'a', passphrase_file = 'b'}", "key.passphrase_file: excludes key.file; set one of them"),
        ("tls.certificate = 'a'", "tls.certificate: goes together with tls.private_key; set both or none"),
    ] {
        assert_eq!(World::new(file).problems(), [format!("config.toml:1: {problem}")], "{file}");
    }
}

#[test]
fn text_that_is_not_toml_names_its_lines() {
    let problems = World::new("workers = 1\nlog = \n[auth\nworkers = 2\n").problems();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    for (problem, line) in problems.iter().zip([2, 3, 4]) {
        assert!(problem.starts_with(&format!("config.toml:{line}: this is not TOML: ")), "{problem}");
    }
}

#[test]
fn a_variable_for_a_whole_group_is_refused_even_beside_its_options() {
    let world = World::new("").variable("SECUREMQ__LOG", "x").variable("SECUREMQ__LOG__KEEP_DAYS", "1");
    assert_eq!(world.problems(), ["SECUREMQ__LOG: \"x\" is not a group of options, which go below it"]);
}

#[test]
fn a_variable_cannot_smuggle_a_second_option_in() {
    let world = World::new("").variable("SECUREMQ__LISTENERS", "['mqtts://']\nworkers = 1");
    assert_eq!(world.problems().len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem() {
    let mut world = World::new("");
    fs::remove_file(world.folder.path().join("config.toml")).unwrap();
    let problems = world.problems();
    assert!(problems[0].starts_with("config.toml: cannot read the configuration: "), "{problems:?}");
    world.flags.config = Some("/dev/zero".into());
    assert_eq!(world.problems(), ["/dev/zero: is larger than 1048576 bytes, so it is no configuration"]);
}

#[test]
fn text_that_is_not_utf8_is_a_problem() {
    use std::os::unix::ffi::OsStringExt;
    let mut world = World::new("").variable("SECUREMQ__LOG__KEEP_DAYS", "1");
    world.environment[0].1 = OsString::from_vec(vec![0xff]);
    world.flags.data_dir = Some(OsString::from_vec(vec![0xff]).into());
    fs::write(world.flags.config.as_ref().unwrap(), b"# 1\n# \xff").unwrap();
    assert_eq!(
        world.problems(),
        ["config.toml:2: is not UTF-8", "SECUREMQ__LOG__KEEP_DAYS: is not UTF-8", "--data-dir: is not UTF-8"]
    );
}

proptest::proptest! {
    /// Whatever a file holds, it is a configuration or a list of problems.
    #[test]
    fn no_text_makes_the_reader_panic(text in "([a-z_.\\[\\]= '\"#0-9\\n{},-]|listeners|url|\\[tls\\]|= 1\\n){0,60}") {
        match World::new(&text).load() {
            Ok(_) => {}
            Err(error) => assert!(!error.problems.is_empty()),
        }
    }
}

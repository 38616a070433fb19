//! `train` in several processes, as a launcher starts them: what one process with as many replicas
//! trains, bit for bit.

use super::{folder, snn, stderr};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// A staged run with what depends on the place in a batch: mixing, dropout.
const CONFIG: &str = r#"
epochs = 1
batch = 30
checkpoint_every = 2
policy = { kind = "union", policies = ["stem", "head"] }
network = { kind = "small", width = 4 }
batch_norm_reestimation = { batches = 2 }
weight_average = 0.9
activity = { weight = 0.5, target = 0.1 }

[data]
dataset = "shapes10"
held_out = 7700
validation_limit = 3 # fewer than processes
test_limit = 101
mixup = 0.3

[twin]
epochs = 1
data = { mixup = 0.0 }
"#;

/// A port that nothing listens on.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// One process of so many.
fn rank(rank: usize, count: usize, port: u16, arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snn"));
    command.args(arguments);
    start(&mut command, rank, count, "127.0.0.1", port)
}

/// Starts a command as one process of so many.
fn start(command: &mut Command, rank: usize, count: usize, address: &str, port: u16) -> Child {
    command
        .env("OMP_NUM_THREADS", "1")
        .env("RANK", rank.to_string())
        .env("WORLD_SIZE", count.to_string())
        .env("MASTER_ADDR", address)
        .env("MASTER_PORT", port.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// All processes with the same arguments, to their end.
fn together(count: usize, arguments: &[&str]) -> Vec<Output> {
    let port = port();
    let all: Vec<Child> = (0..count).map(|place| rank(place, count, port, arguments)).collect();
    all.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn model(folder: &Path) -> Vec<u8> {
    std::fs::read(folder.join("model.safetensors")).unwrap()
}

/// The metrics of a run, without times.
fn metrics(folder: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let mut lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &mut lines {
        for field in ["images_per_second", "peak_memory_bytes", "firing_rates"] {
            line.as_object_mut().unwrap().remove(field);
        }
    }
    lines
}

#[test]
fn processes_train_what_replicas_of_one_process_do() {
    let folder = folder("processes");
    let at = |name: &str| folder.join(name);
    let config = at("config.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let config = config.to_str().unwrap();
    let one = at("one");
    let arguments = ["train", "--config", config, "--out", one.to_str().unwrap()];
    snn().args(arguments).args(["--set", "replicas=2"]).assert().success();

    let two = at("two");
    let out = two.to_str().unwrap();
    let ended = together(2, &["train", "--config", config, "--out", out]);
    assert!(ended.iter().all(|end| end.status.success()), "{}", text(&ended[1].stderr));
    for said in ["2 processes meet at 127.0.0.1:", "2 processes, each with its part of every batch"]
    {
        assert!(text(&ended[0].stderr).contains(said), "{said}");
    }
    assert!(text(&ended[0].stdout).contains("test accuracy"));
    assert!(ended[1].stdout.is_empty() && ended[1].stderr.is_empty(), "rank 0 alone reports");
    assert_eq!(model(&two), model(&one));
    assert_eq!(metrics(&two), metrics(&one));
    let result = |folder: &Path| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(folder.join("result.json")).unwrap()).unwrap()
    };
    for field in ["test_accuracy", "test_images", "chance", "validation_accuracy"] {
        assert_eq!(result(&two)[field], result(&one)[field], "{field}");
    }

    // Parts of 8, 8, 7 and 7 samples.
    let (four, one) = (at("four"), at("one of four"));
    let arguments = ["train", "--config", config, "--out", one.to_str().unwrap()];
    snn().args(arguments).args(["--set", "replicas=4"]).assert().success();
    let ended = together(4, &["train", "--config", config, "--out", four.to_str().unwrap()]);
    assert!(ended.iter().all(|end| end.status.success()), "{}", text(&ended[3].stderr));
    assert_eq!(model(&four), model(&one));
}

#[test]
fn a_killed_rank_ends_all_and_the_run_resumes() {
    let folder = folder("processes-killed");
    let at = |name: &str| folder.join(name);
    let config = at("config.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let config = config.to_str().unwrap();
    let whole = at("whole");
    let arguments = ["train", "--config", config, "--out", whole.to_str().unwrap()];
    snn().args(arguments).args(["--set", "replicas=2"]).assert().success();

    for victim in [0, 1] {
        let run = at(&format!("rank {victim} killed"));
        let arguments = ["train", "--config", config, "--out", run.to_str().unwrap()];
        let port = port();
        let mut all: Vec<Child> = (0..2).map(|place| rank(place, 2, port, &arguments)).collect();
        // In the second stage, after its first checkpoint.
        let checkpoint = run.join("checkpoint.safetensors");
        while !checkpoint.is_file() {
            std::thread::sleep(std::time::Duration::from_millis(5));
            assert!(all[0].try_wait().unwrap().is_none(), "it ended before it was killed");
        }
        all[victim].kill().unwrap();
        let mut other = all.remove(1 - victim);
        all.remove(0).wait().unwrap();
        let ended = {
            let status = other.wait().unwrap();
            let mut said = String::new();
            std::io::Read::read_to_string(&mut other.stderr.take().unwrap(), &mut said).unwrap();
            (status.code(), said)
        };
        assert_eq!(ended.0, Some(2), "{}", ended.1);
        let last = ended.1.lines().last().unwrap();
        assert!(last.starts_with("error: processes that train together: rank"), "{}", ended.1);
        assert!(last.contains("another rank may have ended"), "{last}");
        // In as many processes, or with as many replicas in one.
        let mut resume = arguments.to_vec();
        resume.push("--resume");
        if victim == 0 {
            let ended = together(2, &resume);
            assert!(ended.iter().all(|end| end.status.success()), "{}", text(&ended[0].stderr));
        } else {
            snn().args(&resume).args(["--set", "replicas=2"]).assert().success();
        }
        assert_eq!(model(&run), model(&whole), "rank {victim}");
    }
}

#[test]
fn processes_that_differ_are_refused() {
    let folder = folder("processes-differ");
    let config = folder.join("config.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let out = folder.join("run");
    let arguments =
        ["train", "--config", config.to_str().unwrap(), "--out", out.to_str().unwrap(), "--set"];
    let port = port();
    let all: Vec<Child> = ["seed=1", "seed=2"]
        .iter()
        .enumerate()
        .map(|(place, set)| rank(place, 2, port, &[&arguments[..], &[set]].concat()))
        .collect();
    for child in all {
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(2));
        let said = text(&ended.stderr);
        assert!(said.contains("another config than rank 0"), "{said}");
    }
    assert!(!out.exists(), "nothing was begun");
    let alone = |variables: &[(&str, &str)], sets: &[&str]| {
        let mut command = snn();
        command.args(&arguments[..5]).args(sets).env("WORLD_SIZE", "2");
        command.envs(variables.iter().copied());
        stderr(&command.assert().code(2))
    };
    let error = alone(&[("MASTER_ADDR", "127.0.0.1"), ("RANK", "2")], &[]);
    assert!(error.contains("RANK must be a number up to 1"), "{error}");
    let error = alone(&[("RANK", "0")], &[]);
    assert!(error.contains("MASTER_ADDR must be the machine of rank 0"), "{error}");
    let ended = together(2, &[&arguments[..], &["replicas=3"]].concat());
    let said = text(&ended[0].stderr);
    assert!(said.contains("`replicas`: expected 2, one for each process, found 3"), "{said}");
    assert!(!out.exists());
}

/// Two network namespaces with a wire between them: two hosts, as far as processes can tell.
struct Hosts([String; 2]);

impl Hosts {
    const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

    fn new() -> Self {
        let hosts = Self([0, 1].map(|place| format!("snn-{}-{place}", std::process::id())));
        for name in &hosts.0 {
            ip(&["netns", "add", name]);
        }
        let [first, second] = hosts.0.each_ref().map(String::as_str);
        let wire = ["link", "add", "wire", "netns", first, "type", "veth", "peer", "name", "wire"];
        ip(&[&wire[..], &["netns", second]].concat());
        for (name, address) in [first, second].into_iter().zip(Self::ADDRESSES) {
            let address = format!("{address}/24");
            ip(&["-n", name, "address", "add", &address, "dev", "wire"]);
            ip(&["-n", name, "link", "set", "wire", "up"]);
            // What a host sends to its own address goes this way.
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        hosts
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.0 {
            // The wire goes with its ends.
            let _ended = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("ip, of iproute2");
    assert!(status.success(), "ip {arguments:?}");
}

#[test]
#[ignore = "needs root and the program ip: cargo xtask test -- --ignored two_hosts"]
fn two_hosts_train_what_one_does() {
    let folder = folder("two-hosts");
    let at = |name: &str| folder.join(name);
    let config = at("config.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let config = config.to_str().unwrap();
    let one = at("one");
    let arguments = ["train", "--config", config, "--out", one.to_str().unwrap()];
    snn().args(arguments).args(["--set", "replicas=2"]).assert().success();

    let hosts = Hosts::new();
    // Each host has a folder of its own: no file is shared.
    let all: Vec<Child> = (0..2)
        .map(|place| {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &hosts.0[place], env!("CARGO_BIN_EXE_snn"), "train"]);
            command.args(["--config", config, "--out"]).arg(at(&format!("of host {place}")));
            start(&mut command, place, 2, Hosts::ADDRESSES[0], 29_500)
        })
        .collect();
    for ended in all.into_iter().map(|child| child.wait_with_output().unwrap()) {
        assert!(ended.status.success(), "{}", text(&ended.stderr));
    }
    assert_eq!(model(&at("of host 0")), model(&one));
    assert!(!at("of host 1").exists(), "rank 0 alone keeps the run");
}

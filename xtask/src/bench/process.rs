//! What Linux says about a process: processor time, memory, children, and where it may run.
//! Always: times are what the kernel charged, in whole ticks (10 ms) where it keeps nothing finer.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::workspace::on_path;

/// Linux reports times to programs in hundredths of a second, whatever its own tick is.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of all threads, those that ended included.
pub(super) fn processor_time(pid: u32) -> Result<Duration, String> {
    stat_time(&format!("/proc/{pid}/stat"))
}

/// Processor time that anything on the machine took, waiting and virtual guests' own counts left out.
pub(super) fn machine_time() -> Result<Duration, String> {
    let text = fs::read_to_string("/proc/stat").map_err(|error| format!("/proc/stat: {error}"))?;
    let fields = text.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let ticks = fields.map(|fields| fields.split_whitespace().filter_map(|field| field.parse::<u64>().ok()));
    let ticks: Vec<u64> = ticks.ok_or("/proc/stat: found no line of all processors")?.collect();
    // user, nice, system; then idle and waiting, which nobody took; then interrupts.
    let taken: u64 =
        ticks.iter().take(7).enumerate().filter(|(at, _)| ![3, 4].contains(at)).map(|(_, t)| t).sum();
    Ok(Duration::from_millis(taken * 10))
}

/// What a living thread has had of its processor since it began.
pub(super) struct Thread {
    pub(super) id: u32,
    /// Time in which it ran.
    pub(super) ran: Duration,
    /// Time in which it was ready and another ran; zero where the kernel does not count it.
    pub(super) waited: Duration,
}

/// The living threads of a process.
pub(super) fn threads(pid: u32) -> Result<Vec<Thread>, String> {
    let tasks =
        fs::read_dir(format!("/proc/{pid}/task")).map_err(|error| format!("process {pid}: {error}"))?;
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(ids.filter_map(|id| thread(pid, id)).collect())
}

fn thread(pid: u32, id: u32) -> Option<Thread> {
    let fine = fs::read_to_string(format!("/proc/{pid}/task/{id}/schedstat")).unwrap_or_default();
    let mut nanoseconds = fine.split(' ').map_while(|field| field.parse().ok()).map(Duration::from_nanos);
    if let (Some(ran), Some(waited)) = (nanoseconds.next(), nanoseconds.next()) {
        return Some(Thread { id, ran, waited });
    }
    let ran = stat_time(&format!("/proc/{pid}/task/{id}/stat")).ok()?;
    Some(Thread { id, ran, waited: Duration::ZERO })
}

fn stat_time(file: &str) -> Result<Duration, String> {
    let fields = stat_fields(file)?;
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<u32>().ok());
    match (ticks(11), ticks(12)) {
        (Some(user), Some(system)) => Ok(TICK * (user + system)),
        _ => Err(format!("{file}: found no times; expected fields 14 and 15")),
    }
}

/// The fields after the program's name, which may itself hold spaces: state, parent, ...
fn stat_fields(file: &str) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

/// Resident memory in bytes.
pub(super) fn resident_bytes(pid: u32) -> Result<u64, String> {
    let file = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    kibibytes(&text, "VmRSS:").ok_or(format!("{file}: found no VmRSS"))
}

/// Memory in bytes that the process's children hold for themselves: copied pages, not those still shared.
pub(super) fn children_private_bytes(pid: u32) -> u64 {
    let own = |child: &u32| {
        let text = fs::read_to_string(format!("/proc/{child}/smaps_rollup")).unwrap_or_default();
        let parts = ["Private_Clean:", "Private_Dirty:"].map(|name| kibibytes(&text, name).unwrap_or(0));
        parts.iter().sum::<u64>()
    };
    children(pid).iter().map(own).sum()
}

/// As the kernel lists them by thread: to look at every process takes milliseconds that a client beside it would feel.
fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split(' ').filter_map(|id| id.parse().ok()).collect::<Vec<u32>>()).collect()
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
}

/// Which processors are whose.
#[derive(Default)]
pub(super) struct Processors {
    /// The server's, as a list for taskset; `None` for all.
    pub(super) server: Option<String>,
    /// The client's; none where it has no own.
    pub(super) client: Vec<u32>,
}

impl Processors {
    /// Those that this program may use, divided between server and client where they can be divided.
    pub(super) fn divided() -> Processors {
        divided_processors().unwrap_or_default()
    }
}

fn divided_processors() -> Option<Processors> {
    on_path("taskset")?;
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    let all = processors(list.trim())?;
    let (server, client) = all.split_at(all.len() / 2);
    let server: Vec<String> = server.iter().map(u32::to_string).collect();
    (!server.is_empty()).then(|| Processors { server: Some(server.join(",")), client: client.to_vec() })
}

/// Reads `0-3,8` as 0, 1, 2, 3, 8.
fn processors(list: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse::<u32>().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(all)
}

/// Binds the calling thread to one processor. Where that fails the figures are noisier, not wrong.
pub(super) fn bind_this_thread(processor: u32) {
    let Ok(link) = fs::read_link("/proc/thread-self") else { return };
    let Some(id) = link.file_name().and_then(|name| name.to_str()) else { return };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "--pid", &processor.to_string(), id]);
    let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(processors("0-2,8"), Some(vec![0, 1, 2, 8]));
        assert_eq!(processors("5"), Some(vec![5]));
        assert_eq!(processors(""), None);
    }

    #[test]
    fn this_process_is_seen() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).expect("status is readable") > 100_000);
        assert!(!threads(pid).expect("tasks are readable").is_empty());
        processor_time(pid).expect("stat is readable");
    }
}

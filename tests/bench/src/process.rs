//! What a process used, as Linux counts it.

use crate::Outcome;
use rustix::{
    param::clock_ticks_per_second,
    time::{ClockId, clock_gettime},
};
use std::{fs, time::Duration};

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// CPU time of this thread.
pub(crate) fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// User and system time of another process, to the tick (mostly 10 ms).
pub(crate) fn cpu_of(pid: u32) -> Outcome<Duration> {
    times_in(&fs::read_to_string(format!("/proc/{pid}/stat"))?)
}

fn times_in(stat: &str) -> Outcome<Duration> {
    // The second field is the program's name in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')').ok_or("no times of a process")?;
    let ticks = |at: usize| fields.split_whitespace().nth(at).and_then(|field| field.parse::<u64>().ok());
    // utime and stime are fields 14 and 15 of all, counted from 1.
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("no times of a process")?;
    Ok(Duration::from_secs(1) * u32::try_from(user + system)? / u32::try_from(clock_ticks_per_second())?)
}

/// The same of those threads of this process that have this name.
pub(crate) fn cpu_of_threads(name: &str) -> Outcome<Duration> {
    let mut sum = Duration::ZERO;
    for thread in fs::read_dir("/proc/self/task")? {
        let directory = thread?.path();
        // One that ends meanwhile is none of the wanted.
        if fs::read_to_string(directory.join("comm")).is_ok_and(|comm| comm.trim_end() == name) {
            sum += times_in(&fs::read_to_string(directory.join("stat"))?)?;
        }
    }
    Ok(sum)
}

/// What all cores of the machine have done, for whomever.
pub(crate) fn cpu_of_all() -> Outcome<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let fields = stat.lines().next().ok_or("no /proc/stat")?.split_whitespace().skip(1).take(8);
    let ticks = fields.map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    // The fourth and the fifth are times in which nothing was done.
    let busy: u64 = ticks.iter().take(3).chain(ticks.iter().skip(5)).sum();
    Ok(Duration::from_millis(busy * 1_000 / clock_ticks_per_second()))
}

/// Memory of a process in bytes: resident now, and at most so far.
pub(crate) fn memory_of(pid: u32) -> Outcome<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    let (now, most) = field("VmRSS:").zip(field("VmHWM:")).ok_or("no memory in /proc/<pid>/status")?;
    Ok((now * 1024, most * 1024))
}

//! Replicas in processes, one a device, that a launcher such as `torchrun` starts.

use super::Ranks;
use crate::autograd::message;
use crate::error::{Error, Result};
use std::ffi::{CString, c_char, c_int, c_void};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tch::{Kind, Tensor};
use torch_sys::C_tensor;

/// How long a rank waits for the others, as torch does.
const PATIENCE: Duration = Duration::from_mins(30);

unsafe extern "C" {
    fn snn_group_new(
        master: *const c_char,
        port: u16,
        interface: *const c_char,
        address: *const c_char,
        rank: c_int,
        size: c_int,
        milliseconds: i64,
        out: *mut *mut c_void,
    ) -> *mut c_char;
    fn snn_group_drop(group: *mut c_void);
    fn snn_group_all_gather(
        group: *mut c_void,
        values: *mut f64,
        count: i64,
        out: *mut f64,
    ) -> *mut c_char;
    fn snn_group_broadcast(group: *mut c_void, bytes: *mut u8, count: i64) -> *mut c_char;
    fn snn_group_sum(group: *mut c_void, values: *mut C_tensor) -> *mut c_char;
}

/// Where the processes of a group meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// The place of this process, from 0.
    pub rank: usize,
    /// Number of processes.
    pub count: usize,
    /// Name or address of the machine of rank 0.
    pub master: String,
    /// The port that rank 0 listens on.
    pub port: u16,
    /// The network interface to talk to the others through; `None` for the one that leads to rank
    /// 0.
    pub interface: Option<String>,
    /// How long to wait for the others.
    pub patience: Duration,
}

impl Rendezvous {
    /// What a launcher says in the variables `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`,
    /// and a user in `GLOO_SOCKET_IFNAME`. `None` where there is one process.
    ///
    /// # Errors
    /// A variable is missing beside a `WORLD_SIZE` above 1, or has no such value.
    pub fn from_environment() -> Result<Option<Self>> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let number = |name: &'static str, most: usize| -> Result<usize> {
            let text = variable(name).unwrap_or_default();
            let number = text.parse().ok().filter(|number| *number <= most);
            number.ok_or_else(|| Error::Argument {
                what: name,
                expected: format!("a number up to {most}, as a launcher sets it"),
                found: if text.is_empty() { "none".into() } else { format!("`{text}`") },
            })
        };
        if variable("WORLD_SIZE").is_none() {
            return Ok(None);
        }
        let count = number("WORLD_SIZE", i32::MAX.unsigned_abs() as usize)?.max(1);
        if count == 1 {
            return Ok(None);
        }
        let master = variable("MASTER_ADDR").filter(|text| !text.is_empty());
        let master = master.ok_or_else(|| Error::Argument {
            what: "MASTER_ADDR",
            expected: "the machine of rank 0, as a launcher sets it".into(),
            found: "none".into(),
        })?;
        Ok(Some(Self {
            rank: number("RANK", count - 1)?,
            count,
            master,
            port: u16::try_from(number("MASTER_PORT", usize::from(u16::MAX))?).unwrap_or_default(),
            interface: variable("GLOO_SOCKET_IFNAME").filter(|text| !text.is_empty()),
            patience: PATIENCE,
        }))
    }

    /// `true` if the machine of rank 0 is named as this one is by itself.
    fn is_local(&self) -> bool {
        let address = self.master.parse::<IpAddr>();
        self.master == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }

    /// The address of this machine on the way to rank 0.
    fn own_address(&self) -> Result<String> {
        let place = || format!("{}:{}", self.master, self.port);
        let failed = |error: std::io::Error| Error::Processes(format!("{}: {error}", place()));
        let mut last = None;
        for address in (self.master.as_str(), self.port).to_socket_addrs().map_err(failed)? {
            let any = match address {
                SocketAddr::V4(_) => "0.0.0.0:0",
                SocketAddr::V6(_) => "[::]:0",
            };
            // Nothing is sent: the system only chooses the way.
            let own = UdpSocket::bind(any).and_then(|socket| {
                socket.connect(address)?;
                socket.local_addr()
            });
            match own {
                // A name of the machine itself may lead to an address that no other can reach.
                Ok(own) if own.ip().is_loopback() && !self.is_local() => {
                    return Err(Error::Processes(format!(
                        "`{}` leads to {}, which other machines cannot reach; name the network \
                         interface in GLOO_SOCKET_IFNAME",
                        self.master,
                        own.ip()
                    )));
                }
                Ok(own) => return Ok(own.ip().to_string()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or_else(|| Error::Processes(format!("{}: no address", place())), failed))
    }
}

/// One of several processes that train together, on torch's own engine (c10d with Gloo).
///
/// All of them call the same functions in the same order. Where one ends, the functions of the
/// others end with an error.
#[derive(Debug)]
pub struct ProcessRank {
    rank: usize,
    count: usize,
    group: Mutex<Group>,
}

#[derive(Debug)]
struct Group(*mut c_void);

// SAFETY: the group is used by one thread at a time, and by any.
unsafe impl Send for Group {}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: made by `snn_group_new`, and dropped once.
        unsafe { snn_group_drop(self.0) };
    }
}

impl ProcessRank {
    /// Meets the other processes.
    ///
    /// # Errors
    /// They do not come in time, or cannot be reached.
    pub fn connect(rendezvous: &Rendezvous) -> Result<Self> {
        let Rendezvous { rank, count, master, port, interface, patience } = rendezvous;
        let address = match interface {
            Some(_) => String::new(),
            None => rendezvous.own_address()?,
        };
        let text = |text: &str| CString::new(text.replace('\0', " ")).unwrap_or_default();
        let [name, address] = [master, &address].map(|part| text(part));
        let interface = text(interface.as_deref().unwrap_or_default());
        let number = |number: usize| c_int::try_from(number).unwrap_or(c_int::MAX);
        let milliseconds = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        let mut group = std::ptr::null_mut();
        // SAFETY: C strings that live through the call, which writes the group.
        let failure = unsafe {
            snn_group_new(
                name.as_ptr(),
                *port,
                interface.as_ptr(),
                address.as_ptr(),
                number(*rank),
                number(*count),
                milliseconds,
                &raw mut group,
            )
        };
        let meeting = || format!("rank {rank} of {count} at {master}:{port}");
        // SAFETY: null or a message that is ours.
        if let Some(why) = unsafe { message(failure) } {
            return Err(Error::Processes(format!("{}: {why}", meeting())));
        }
        Ok(Self { rank: *rank, count: *count, group: Mutex::new(Group(group)) })
    }

    fn call(&self, what: &str, call: impl FnOnce(*mut c_void) -> *mut c_char) -> Result<()> {
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = call(group.0);
        // SAFETY: null or a message that is ours.
        match unsafe { message(failure) } {
            None => Ok(()),
            Some(why) => Err(Error::Processes(format!(
                "rank {} of {}, {what}: {why}; another rank may have ended",
                self.rank, self.count
            ))),
        }
    }

    /// The values of every rank, one after another; all give equally many.
    ///
    /// # Errors
    /// Another rank has ended, or gives something else.
    pub fn all_gather(&self, what: &str, values: &[f64]) -> Result<Vec<f64>> {
        // What is given goes first, so that ranks that have come apart are told.
        let mut own = [&[mark(what.as_bytes(), values.len())], values].concat();
        let mut all = vec![0.0; own.len() * self.count];
        self.call(what, |group| {
            let count = i64::try_from(own.len()).unwrap_or(i64::MAX);
            // SAFETY: room for the values of every rank.
            unsafe { snn_group_all_gather(group, own.as_mut_ptr(), count, all.as_mut_ptr()) }
        })?;
        let of_ranks = || all.chunks_exact(own.len());
        if let Some(rank) = of_ranks().position(|of| of[0].to_bits() != own[0].to_bits()) {
            return Err(Error::Processes(format!(
                "rank {} gives {} values of {what}, rank {rank} something else: all must have the \
                 same config and data",
                self.rank,
                values.len()
            )));
        }
        Ok(of_ranks().flat_map(|of| &of[1..]).copied().collect())
    }

    /// The bytes of rank 0; those of the other ranks do not count.
    ///
    /// # Errors
    /// Another rank has ended, or is elsewhere.
    pub fn broadcast(&self, what: &str, bytes: Vec<u8>) -> Result<Vec<u8>> {
        let count = self.all_gather(what, &[bytes.len() as f64])?[0];
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of bytes in memory"
        )]
        let count = count as usize;
        let mut bytes = bytes;
        bytes.resize(count, 0);
        if count > 0 {
            self.call(what, |group| {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                // SAFETY: as many bytes.
                unsafe { snn_group_broadcast(group, bytes.as_mut_ptr(), count) }
            })?;
        }
        Ok(bytes)
    }

    /// Refuses to go on where something of this rank is not what rank 0 has of it.
    ///
    /// # Errors
    /// It is not, or another rank has ended.
    pub fn agree(&self, what: &str, bytes: &[u8]) -> Result<()> {
        let all = self.all_gather(what, &[mark(bytes, bytes.len())])?;
        match all.iter().position(|other| other.to_bits() != all[0].to_bits()) {
            None => Ok(()),
            Some(rank) => Err(Error::Processes(format!(
                "rank {rank} has another {what} than rank 0; all must be \
                 started with the same, on processors of the same kind"
            ))),
        }
    }

    /// Waits until every rank is here.
    ///
    /// # Errors
    /// Another rank has ended, or is elsewhere.
    pub fn barrier(&self, what: &str) -> Result<()> {
        self.all_gather(what, &[]).map(drop)
    }

    /// Replaces tensors of one kind by their sums over all ranks, added in the order of ranks.
    ///
    /// # Errors
    /// Another rank has ended, or libtorch fails.
    pub fn sum_tensors(&self, what: &str, tensors: &[Tensor]) -> Result<()> {
        for kind in [Kind::Float, Kind::Double] {
            let mut of_kind = Vec::new();
            for tensor in tensors {
                if tensor.f_kind()? == kind {
                    of_kind.push(tensor);
                }
            }
            if !of_kind.is_empty() {
                tch::no_grad(|| self.sum_flat(what, &of_kind))?;
            }
        }
        Ok(())
    }

    fn sum_flat(&self, what: &str, tensors: &[&Tensor]) -> Result<()> {
        let flat = |tensor: &&Tensor| tensor.f_reshape([-1]);
        let flat: std::result::Result<Vec<_>, _> = tensors.iter().map(flat).collect();
        let mut values = Tensor::f_cat(&flat?, 0)?;
        self.call(what, |group| {
            // SAFETY: a tensor of one dimension without gaps.
            unsafe { snn_group_sum(group, values.as_mut_ptr()) }
        })?;
        let mut first = 0;
        for tensor in tensors {
            let count = i64::try_from(tensor.numel()).unwrap_or(i64::MAX);
            let sum = values.f_narrow(0, first, count)?.f_view(tensor.size().as_slice())?;
            tensor.shallow_clone().f_copy_(&sum)?;
            first += count;
        }
        Ok(())
    }
}

/// A number that stands for so many values of something.
fn mark(what: &[u8], count: usize) -> f64 {
    // FNV-1a, of which as many bits as a float has.
    let seed = 0xCBF2_9CE4_8422_2325_u64 ^ count as u64;
    let hash = what
        .iter()
        .fold(seed, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3));
    (hash >> 12) as f64
}

impl Ranks for ProcessRank {
    fn count(&self) -> usize {
        self.count
    }

    fn rank(&self) -> usize {
        self.rank
    }

    fn sum(&self, what: &str, values: &mut [f64]) -> Result<()> {
        let all = self.all_gather(what, values)?;
        for (place, sum) in values.iter_mut().enumerate() {
            let count = all.len() / self.count;
            *sum = (1..self.count).fold(all[place], |sum, rank| sum + all[rank * count + place]);
        }
        Ok(())
    }

    /// The connections of a process that ends say so.
    fn fail(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendezvous(pairs: &[(&str, &str)]) -> Result<Option<Rendezvous>> {
        Rendezvous::from_variables(|name| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_string())
        })
    }

    #[test]
    fn variables_of_a_launcher_say_where_to_meet() {
        assert_eq!(rendezvous(&[]).unwrap(), None);
        assert_eq!(rendezvous(&[("WORLD_SIZE", "1")]).unwrap(), None);
        let all = [
            ("WORLD_SIZE", "4"),
            ("RANK", "3"),
            ("MASTER_ADDR", "node0"),
            ("MASTER_PORT", "29500"),
            ("GLOO_SOCKET_IFNAME", "eth1"),
        ];
        let found = rendezvous(&all).unwrap().unwrap();
        assert_eq!((found.rank, found.count, found.port), (3, 4, 29500));
        assert_eq!((found.master.as_str(), found.interface.as_deref()), ("node0", Some("eth1")));
        for (name, value) in [
            ("RANK", "4"),
            ("RANK", ""),
            ("MASTER_PORT", "x"),
            ("MASTER_PORT", "70000"),
            ("MASTER_ADDR", ""),
        ] {
            let changed: Vec<_> =
                all.iter().map(|pair| if pair.0 == name { (name, value) } else { *pair }).collect();
            let error = rendezvous(&changed).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
        let error = rendezvous(&[("WORLD_SIZE", "two")]).unwrap_err().to_string();
        assert!(
            error.contains("WORLD_SIZE must be a number") && error.contains("`two`"),
            "{error}"
        );
    }

    /// Threads that each have a connection of their own, as processes have.
    #[test]
    fn sums_are_those_in_the_order_of_ranks() {
        for count in [2, 4] {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            let values = [1e16, 1.0, -1e16, 1.0];
            let expected = values[1..count].iter().fold(values[0], |sum, value| sum + value);
            std::thread::scope(|scope| {
                for (rank, value) in values.into_iter().take(count).enumerate() {
                    scope.spawn(move || {
                        let rendezvous = Rendezvous {
                            rank,
                            count,
                            master: "127.0.0.1".into(),
                            port,
                            interface: None,
                            patience: Duration::from_mins(1),
                        };
                        let group = ProcessRank::connect(&rendezvous).unwrap();
                        let mut sum = [value, 1.0];
                        group.sum("values", &mut sum).unwrap();
                        assert_eq!(
                            sum.map(f64::to_bits),
                            [expected, count as f64].map(f64::to_bits)
                        );
                        let tensors = [
                            Tensor::from_slice(&[value; 5]),
                            Tensor::from_slice(&[1.5_f32]),
                            Tensor::from_slice(&[0.5, value]).view([1, 2]),
                        ];
                        for _ in 0..2 {
                            let parts = tensors.each_ref().map(Tensor::copy);
                            group.sum_tensors("gradients", &parts).unwrap();
                            let wide = Vec::<f64>::try_from(&parts[0]).unwrap();
                            assert_eq!(wide, [expected; 5]);
                            let single = Vec::<f32>::try_from(&parts[1]).unwrap();
                            assert_eq!(single, [1.5 * count as f32]);
                            assert_eq!(
                                parts[2].double_value(&[0, 1]).to_bits(),
                                expected.to_bits()
                            );
                        }
                        let other = if rank == 0 { "this" } else { "that" };
                        let error = group.barrier(other).unwrap_err().to_string();
                        assert!(error.contains("all must have the same config"), "{error}");
                    });
                }
            });
        }
    }
}

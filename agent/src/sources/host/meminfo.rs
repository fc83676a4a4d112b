//! `/proc/meminfo`.

use yagura_model::Metric;

use super::{
    files::{Failure, Host},
    sampler::{Field, Sampler, find, gauge, metrics},
};

const FIELDS: &[Field; 67] = &[
    ("MemTotal", gauge("node_memory_MemTotal_bytes", "By", "Memory that the kernel can use.")),
    ("MemFree", gauge("node_memory_MemFree_bytes", "By", "Memory that is used for nothing.")),
    (
        "MemAvailable",
        gauge(
            "node_memory_MemAvailable_bytes",
            "By",
            "Memory that new programs could have without swapping, by the kernel's estimate.",
        ),
    ),
    ("Buffers", gauge("node_memory_Buffers_bytes", "By", "Raw blocks of disks kept in memory.")),
    ("Cached", gauge("node_memory_Cached_bytes", "By", "Files kept in memory, without what is in swap as well.")),
    ("SwapCached", gauge("node_memory_SwapCached_bytes", "By", "Memory that is in swap and in memory at once.")),
    ("Active", gauge("node_memory_Active_bytes", "By", "Memory used lately, and so kept.")),
    ("Inactive", gauge("node_memory_Inactive_bytes", "By", "Memory not used lately, and given up first.")),
    ("Active(anon)", gauge("node_memory_Active_anon_bytes", "By", "Anonymous memory used lately.")),
    ("Inactive(anon)", gauge("node_memory_Inactive_anon_bytes", "By", "Anonymous memory not used lately.")),
    ("Active(file)", gauge("node_memory_Active_file_bytes", "By", "File pages used lately.")),
    ("Inactive(file)", gauge("node_memory_Inactive_file_bytes", "By", "File pages not used lately.")),
    ("Unevictable", gauge("node_memory_Unevictable_bytes", "By", "Memory that cannot be given up.")),
    ("Mlocked", gauge("node_memory_Mlocked_bytes", "By", "Memory that programs have locked.")),
    ("SwapTotal", gauge("node_memory_SwapTotal_bytes", "By", "Swap space there is.")),
    ("SwapFree", gauge("node_memory_SwapFree_bytes", "By", "Swap space that is used for nothing.")),
    ("Zswap", gauge("node_memory_Zswap_bytes", "By", "Memory that compressed swap takes.")),
    ("Zswapped", gauge("node_memory_Zswapped_bytes", "By", "What compressed swap would take uncompressed.")),
    ("Dirty", gauge("node_memory_Dirty_bytes", "By", "Memory that waits to be written to a disk.")),
    ("Writeback", gauge("node_memory_Writeback_bytes", "By", "Memory that is being written to a disk.")),
    ("AnonPages", gauge("node_memory_AnonPages_bytes", "By", "Anonymous memory that programs have mapped.")),
    ("Mapped", gauge("node_memory_Mapped_bytes", "By", "Files that programs have mapped.")),
    ("Shmem", gauge("node_memory_Shmem_bytes", "By", "Shared memory and tmpfs.")),
    ("KReclaimable", gauge("node_memory_KReclaimable_bytes", "By", "Memory of the kernel that it can give up.")),
    ("Slab", gauge("node_memory_Slab_bytes", "By", "The kernel's own data structures.")),
    ("SReclaimable", gauge("node_memory_SReclaimable_bytes", "By", "The part of the slab that can be given up.")),
    ("SUnreclaim", gauge("node_memory_SUnreclaim_bytes", "By", "The part of the slab that cannot.")),
    ("KernelStack", gauge("node_memory_KernelStack_bytes", "By", "Stacks that tasks have in the kernel.")),
    (
        "ShadowCallStack",
        gauge("node_memory_ShadowCallStack_bytes", "By", "Shadow stacks that tasks have in the kernel."),
    ),
    ("PageTables", gauge("node_memory_PageTables_bytes", "By", "Tables of the programs' memory.")),
    ("SecPageTables", gauge("node_memory_SecPageTables_bytes", "By", "Tables of the memory of virtual machines.")),
    (
        "NFS_Unstable",
        gauge("node_memory_NFS_Unstable_bytes", "By", "Pages sent to an NFS server that has not stored them yet."),
    ),
    ("Bounce", gauge("node_memory_Bounce_bytes", "By", "Memory for devices that reach only a part of it.")),
    ("WritebackTmp", gauge("node_memory_WritebackTmp_bytes", "By", "Memory that FUSE uses while writing.")),
    ("CommitLimit", gauge("node_memory_CommitLimit_bytes", "By", "Memory that programs can be promised.")),
    ("Committed_AS", gauge("node_memory_Committed_AS_bytes", "By", "Memory that programs were promised.")),
    ("VmallocTotal", gauge("node_memory_VmallocTotal_bytes", "By", "Address space of the kernel for mapped memory.")),
    ("VmallocUsed", gauge("node_memory_VmallocUsed_bytes", "By", "The part of that address space in use.")),
    ("VmallocChunk", gauge("node_memory_VmallocChunk_bytes", "By", "The largest free piece of that address space.")),
    ("Percpu", gauge("node_memory_Percpu_bytes", "By", "Data that each CPU has of its own.")),
    ("EarlyMemtestBad", gauge("node_memory_EarlyMemtestBad_bytes", "By", "Memory found bad by the test at boot.")),
    (
        "HardwareCorrupted",
        gauge("node_memory_HardwareCorrupted_bytes", "By", "Memory given up because the hardware reported errors."),
    ),
    ("AnonHugePages", gauge("node_memory_AnonHugePages_bytes", "By", "Anonymous memory in huge pages.")),
    ("ShmemHugePages", gauge("node_memory_ShmemHugePages_bytes", "By", "Shared memory in huge pages.")),
    ("ShmemPmdMapped", gauge("node_memory_ShmemPmdMapped_bytes", "By", "Shared memory mapped by huge pages.")),
    ("FileHugePages", gauge("node_memory_FileHugePages_bytes", "By", "File pages in huge pages.")),
    ("FilePmdMapped", gauge("node_memory_FilePmdMapped_bytes", "By", "File pages mapped by huge pages.")),
    ("CmaTotal", gauge("node_memory_CmaTotal_bytes", "By", "Memory set aside for devices that need it in one piece.")),
    ("CmaFree", gauge("node_memory_CmaFree_bytes", "By", "The part of that memory in use by no device.")),
    (
        "Unaccepted",
        gauge("node_memory_Unaccepted_bytes", "By", "Memory that a confidential guest has not accepted yet."),
    ),
    ("Balloon", gauge("node_memory_Balloon_bytes", "By", "Memory that the hypervisor has taken back.")),
    ("GPUActive", gauge("node_memory_GPUActive_bytes", "By", "Memory that graphics use.")),
    ("GPUReclaim", gauge("node_memory_GPUReclaim_bytes", "By", "Memory that graphics keep for later.")),
    ("Hugepagesize", gauge("node_memory_Hugepagesize_bytes", "By", "Size of a huge page.")),
    ("Hugetlb", gauge("node_memory_Hugetlb_bytes", "By", "Memory in huge pages of all sizes.")),
    ("DirectMap4k", gauge("node_memory_DirectMap4k_bytes", "By", "Memory the kernel maps by pages of 4 KiB.")),
    ("DirectMap64k", gauge("node_memory_DirectMap64k_bytes", "By", "Memory the kernel maps by pages of 64 KiB.")),
    ("DirectMap2M", gauge("node_memory_DirectMap2M_bytes", "By", "Memory the kernel maps by pages of 2 MiB.")),
    ("DirectMap4M", gauge("node_memory_DirectMap4M_bytes", "By", "Memory the kernel maps by pages of 4 MiB.")),
    ("DirectMap1M", gauge("node_memory_DirectMap1M_bytes", "By", "Memory the kernel maps by pages of 1 MiB.")),
    ("DirectMap1G", gauge("node_memory_DirectMap1G_bytes", "By", "Memory the kernel maps by pages of 1 GiB.")),
    ("DirectMap2G", gauge("node_memory_DirectMap2G_bytes", "By", "Memory the kernel maps by pages of 2 GiB.")),
    ("DirectMap32M", gauge("node_memory_DirectMap32M_bytes", "By", "Memory the kernel maps by pages of 32 MiB.")),
    ("HugePages_Total", gauge("node_memory_HugePages_Total", "", "Huge pages in the pool.")),
    ("HugePages_Free", gauge("node_memory_HugePages_Free", "", "Huge pages of the pool that nobody has.")),
    ("HugePages_Rsvd", gauge("node_memory_HugePages_Rsvd", "", "Huge pages that are promised and not taken yet.")),
    ("HugePages_Surp", gauge("node_memory_HugePages_Surp", "", "Huge pages above the configured size of the pool.")),
];

pub(super) const METRICS: &[Metric] = &metrics(FIELDS);

pub(super) fn collect(host: &mut Host, sampler: &mut Sampler<'_>) -> Result<(), Failure> {
    for (name, rest) in host.proc("meminfo")?.lines().filter_map(|line| line.split_once(':')) {
        let Some(metric) = find(FIELDS, name) else { continue };
        let mut words = rest.split_ascii_whitespace();
        let number = sampler.number(words.next());
        // `kB` has always meant 1024 bytes here; huge pages are counted and have no unit.
        let unit = if words.next() == Some("kB") { 1024 } else { 1 };
        if let Some(value) = number {
            sampler.put(metric, &[], value.saturating_mul(unit));
        }
    }
    Ok(())
}

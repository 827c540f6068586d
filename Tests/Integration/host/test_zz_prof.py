import subprocess, time, sys, re, bisect, collections
import pytest
from rig import machine
sys.path.insert(0, str(machine.CHECKOUT / "Tests/Benchmark"))
from bench import counts, programs
from host.test_costs import host, orders  # noqa
@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_prof(host, harness, orders, tmp_path, kind):
    out = tmp_path / "prof.out"
    run = subprocess.run(["valgrind","-q","--tool=callgrind","--dump-instr=yes","--compress-pos=no","--compress-strings=no",f"--callgrind-out-file={out}",host,harness.services],input=orders[kind]+"\n",capture_output=True,text=True,timeout=120)
    syms=[]
    for l in subprocess.run(["nm","-n","--defined-only",str(machine.CHECKOUT/".build/tmp/unstripped.so")],capture_output=True,text=True).stdout.splitlines():
        p=l.split(maxsplit=2)
        if p[1] in "tTwW": syms.append((int(p[0],16),p[2]))
    addrs=[a for a,_ in syms]
    per=collections.Counter(); ob=""; skip=0; cnt=collections.Counter(); lo=None
    lines=out.read_text().splitlines()
    tot=collections.Counter()
    for l in lines:
        if l.startswith("ob="): ob=l[3:]; continue
        if l.startswith("calls="): skip=1; continue
        m=re.match(r"0x([0-9a-f]+) \S+ (\d+)",l) or re.match(r"0x([0-9a-f]+) (\d+)$",l)
        if m:
            if skip: skip=0; continue
            if ob.endswith("pam_twofactor.so"):
                a=int(m[1],16); cnt[a]+=int(m[2]); lo=a if lo is None else min(lo,a)
    # find base: try page aligned bases
    best=None
    ent=[l for l in lines if l.startswith("fn=")][:0]
    import itertools
    for base in range((lo&~0xfff)-0x40000,(lo&~0xfff)+0x1000,0x1000):
        # score: all addresses in text range
        per=collections.Counter(); ok=0
        for a,c in cnt.items():
            i=bisect.bisect(addrs,a-base)-1
            if i<0: per["?"]+=c
            else: per[syms[i][1]]+=c
        e=[s for s in syms if s[1]=="pam_sm_authenticate"][0][0]+base
        if e in cnt and cnt[e]==1:
            sc=len(per)
            if best is None or sc<best[0]: best=(sc,per,base)
    print("TOTAL",sum(cnt.values()))
    dem=subprocess.run(["swift","demangle","--simplified"],input="\n".join(f"{c} {n}" for n,c in best[1].most_common(45)),capture_output=True,text=True).stdout
    print(dem)

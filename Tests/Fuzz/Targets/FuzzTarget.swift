/// The functions to fuzz. Each accepts any bytes, and ends the program if a requirement is violated.
///
/// `scripts/fuzz` links all of them into one program, and calls it by the name of a target.
enum FuzzTarget: String, CaseIterable {
  case credential
  case state
  case arguments
  case reply
  case configuration
  case login
  case imported
  case uri
  case exports
  case pskc
  case seeds
  case request
  case services
  case doctor
  case dialogue

  /// Runs the target once.
  func run(_ bytes: [UInt8]) {
    switch self {
    case .credential: fuzzCredential(bytes)
    case .state: fuzzState(bytes)
    case .arguments: fuzzArguments(bytes)
    case .configuration: fuzzConfiguration(bytes)
    case .reply: fuzzReply(bytes)
    case .imported: fuzzImported(bytes)
    case .uri: fuzzURI(bytes)
    case .exports: fuzzExports(bytes)
    case .pskc: fuzzPSKC(bytes)
    case .seeds: fuzzSeeds(bytes)
    case .request: fuzzRequest(bytes)
    case .services: fuzzServices(bytes)
    case .doctor: fuzzDoctor(bytes)
    case .login: LoginFuzzing(bytes).run()
    case .dialogue: DialogueFuzzing(bytes).run()
    }
  }
}

// SAFETY: libFuzzer calls the functions below from one thread.
/// The target that the program was called by.
nonisolated(unsafe) private var chosen: FuzzTarget?

/// Called by libFuzzer once.
@c(LLVMFuzzerInitialize)
public func initialize(
  count: UnsafeMutablePointer<Int32>, arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>>>
) -> Int32 {
  // SAFETY: libFuzzer passes the arguments of main().
  let path = unsafe String(cString: arguments.pointee[0])
  let name = path.split(separator: "/").last.map(String.init) ?? ""
  guard let target = FuzzTarget(rawValue: name) else {
    fatalError("unknown target \(name)")
  }
  unsafe chosen = target
  return 0
}

/// Called by libFuzzer with each input.
@c(LLVMFuzzerTestOneInput)
public func test(data: UnsafePointer<UInt8>?, size: Int) -> Int32 {
  // SAFETY: libFuzzer passes `size` bytes.
  let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: size))
  unsafe chosen?.run(bytes)
  return 0
}

/// Ends the program if a requirement does not hold, in every build.
func require(_ holds: Bool, _ what: @autoclosure () -> String) {
  if !holds { fatalError(what()) }
}

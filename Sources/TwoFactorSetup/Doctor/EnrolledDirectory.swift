/// Where the enrolment of an account lies.
struct EnrolledDirectory {
  let account: String
  let path: String
}

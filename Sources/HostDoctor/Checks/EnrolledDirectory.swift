/// Where the enrolment of an account lies.
package struct EnrolledDirectory {
  let account: String
  let path: String

  package init(account: String, path: String) {
    self.account = account
    self.path = path
  }
}

"""What every node agrees on and stands on; it imports no tier and never branches on one."""
